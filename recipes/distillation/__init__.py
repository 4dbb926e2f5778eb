"""A trained network teaches another one."""
