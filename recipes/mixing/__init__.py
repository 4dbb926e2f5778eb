"""Samples are mixed with others, and their targets with them."""
