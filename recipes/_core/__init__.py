"""What all techniques stand on: the recipe and its laws, the registry, the spec language, and shared tools."""
