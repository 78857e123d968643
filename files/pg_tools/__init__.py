"""What more than one of our programs needs: errors, libpq's environment, files that survive a power cut."""
