"""An encoder at the user equipment and a decoder at the base station."""

from torch import Tensor, nn


class Autoencoder(nn.Module):
    """An encoder and the decoder that reads its codewords."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, picture_B2AC: Tensor) -> Tensor:
        """Return the reconstruction, same shape as the input."""
        reconstruction: Tensor = self.decoder(self.encoder(picture_B2AC))
        return reconstruction
