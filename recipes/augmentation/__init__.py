"""Training images are changed at random, in ways that keep their labels."""
