"""How many examples a law is tried with."""

from hypothesis import settings


def times(count: int) -> int:
    """Return how many examples the profile in use asks for where the quick one takes ``count``."""
    quick = settings.get_profile("quick")
    return count * settings().max_examples // quick.max_examples
