"""Constants of physics; `scipy.constants` takes 0.2 s to import, in every process of a sweep."""

SPEED_OF_LIGHT_M_S = 299_792_458.0
"""Speed of light in vacuum [m/s], exact by the definition of the metre."""
