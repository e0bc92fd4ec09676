"""Training of collective and individual models, and inheritance between them."""
