"""Weights are kept within a set."""
