"""Hidden activations or weights are normalized."""
