"""Links and channel uses that tests of MIMO detection share."""

from kdtasks.scenarios.mimo_link import MimoLink, from_law, transmit, with_perfect_csi
from kdtasks.seeding import torch_generator


def received(link, count, snr_db, *, seed=0, perfect=False):
    """Return channel uses of a link, all at one SNR."""
    link = MimoLink.parse(link)
    generator = torch_generator(seed, f"test {link.name}")
    channel = from_law(link)(count, generator)
    seen = transmit(link, channel, (snr_db, snr_db), generator)
    return with_perfect_csi(seen, channel) if perfect else seen
