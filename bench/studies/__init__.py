"""Whole studies: which cells they consist of, in which order they run, and what they keep."""
