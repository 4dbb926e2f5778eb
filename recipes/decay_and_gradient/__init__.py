"""Weights decay, or gradients are edited, before the optimizer's step."""
