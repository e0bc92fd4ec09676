"""Counts of what nodes have sent each other in one deployment."""

from collections import Counter
from collections.abc import Sequence

from sweeps.nodes.wire.links import Transmission
from sweeps.nodes.wire.messages import SERVER, Kind, Parcel


class Traffic:
    """Counts every parcel on a link once, when it is sent; at least one edge."""

    def __init__(self, edges: Sequence[str]) -> None:
        self._num_edges = len(edges)
        self._down = 0
        self._up = 0
        self._lost = 0
        self._joule = 0.0
        self._raw_samples = 0
        self._raw_bytes = 0
        self._signatures = 0
        self._by_kind: Counter[Kind] = Counter()
        self._by_edge: Counter[str] = Counter()

    def sent(self, parcel: Parcel, transmission: Transmission) -> None:
        """Count a sent parcel; whatever an edge sends counts as uplink."""
        if parcel.sender == SERVER:
            self._down += transmission.sent_bytes
        else:
            self._up += transmission.sent_bytes
            self._raw_samples += parcel.raw_samples
            self._raw_bytes += parcel.raw_bytes
        self._by_edge[parcel.edge] += transmission.sent_bytes
        self._lost += transmission.lost_bytes
        self._signatures += len(parcel.seal)
        self._joule += transmission.joule
        self._by_kind[parcel.kind] += transmission.sent_bytes

    def bytes_of(self, edge: str) -> int:
        """Return the bytes over the link of an edge, both ways, lost packets included [B]."""
        return self._by_edge[edge]

    def metrics(self) -> dict[str, float]:
        """Return the metrics of `contract.deployment.NETWORK_METRICS` about links."""
        over_air = self._down + self._up
        per_kind = {f"edge_{kind}_bytes": self._by_kind[kind] / self._num_edges for kind in Kind}
        return {
            "bytes_over_air": float(over_air),
            "bytes_down": float(self._down),
            "bytes_up": float(self._up),
            "bytes_lost": float(self._lost),
            "edge_bytes": over_air / self._num_edges,
            **per_kind,
            "edge_signature_bytes": self._signatures / self._num_edges,
            "energy_j": self._joule,
            "raw_samples_up": float(self._raw_samples),
            "raw_bytes_up": float(self._raw_bytes),
        }
