"""What becomes of each table, column and value: the scan, the wishes of the operator, the findings, the plan."""
