"""A synthetic street: traffic, sensors and radio links, rendered frame by frame."""
