"""Ways to train a beam tracker, with and without a teacher."""
