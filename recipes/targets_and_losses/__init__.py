"""The targets or the loss itself are changed."""
