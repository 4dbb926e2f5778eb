"""Units, weights or inputs are dropped or blurred at random."""
