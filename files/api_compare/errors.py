"""What can go wrong, each with the exit code it ends in."""


class Failed(Exception):
    """The API did not give an answer to compare (exit 1)."""

    exit_code = 1


class BadInput(Failed):
    """A file that was given does not hold what it should (exit 2)."""

    exit_code = 2
