"""IP-protecting encoder KD, Cui et al., section IV-C; training Type 3 of 3GPP TR 38.843.

Base station and user equipment exchange pairs of CSI and codeword, and nothing else. `ue` must not
import anything of the base station's networks, and `bs` nothing of the user equipment's; a test
holds them to it.
"""
