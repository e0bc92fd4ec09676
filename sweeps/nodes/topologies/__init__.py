"""One strategy per topology: it emits messages and digests what nodes answer."""
