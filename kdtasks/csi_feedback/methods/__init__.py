"""Ways to train a CSI autoencoder, with and without a teacher."""
