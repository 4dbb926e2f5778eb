"""A term is added to the training loss, or its proximal step is taken."""
