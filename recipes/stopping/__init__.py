"""Training ends before the last epoch."""
