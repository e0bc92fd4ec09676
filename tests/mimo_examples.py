"""Links and channel uses that tests of MIMO detection share."""

from kdtasks.learning.random import torch_generator
from kdtasks.mimo_detection.link.link import MimoLink, from_law, transmit, with_perfect_csi


def received(link, count, snr_db, *, seed=0, perfect=False):
    """Return channel uses of a link, all at one SNR."""
    link = MimoLink.parse(link)
    generator = torch_generator(seed, f"test {link.name}")
    channel = from_law(link)(count, generator)
    seen = transmit(link, channel, (snr_db, snr_db), generator)
    return with_perfect_csi(seen, channel) if perfect else seen
