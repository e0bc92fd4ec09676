"""White space of printed text."""

KEPT = "\n\t\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
"""White space that is printed as it is."""
