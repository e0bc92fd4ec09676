"""From a scenario's name to the pictures that CSI autoencoders train, validate and test on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdtasks.contract.errors import ConfigError, DataError
from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Arrays, Progress, ScenarioData
from kdtasks.csi_feedback.data import cost2100, tr38901
from kdtasks.csi_feedback.data.angular_delay import (
    Observation,
    Scaling,
    channel,
    replace_by_angular_delay,
    to_angular_delay,
)
from kdtasks.csi_feedback.data.channel_axes import DEFAULT, Axes
from kdtasks.csi_feedback.data.channel_files import channel_files, find_channels
from kdtasks.csi_feedback.data.channel_splits import take_split
from kdtasks.csi_feedback.data.custom_source import draw_channels, identity_of, own_source
from kdtasks.csi_feedback.data.deepmimo import DeepMimoSite, deepmimo_site
from kdtasks.csi_feedback.data.named_sites import CHUNK, CSI_SITES, observe, place_users
from kdtasks.csi_feedback.data.ray_traced import TracedSite, traced_site
from kdtasks.data.array_cache import ArrayCache
from kdtasks.data.reading import content_of
from kdtasks.data.splits import (
    SPLITS,
    SplitPlan,
    manifest,
    share_within,
    split_by_order,
    split_by_position,
)

LAYOUT = 2
"""Raised when the same settings would give other data, so that old caches are not used."""

TR38901 = {f"tr38901-{name}": preset for name, preset in tr38901.PRESETS.items()}
COST2100: dict[str, cost2100.Environment] = {
    "cost2100-indoor": "indoor",
    "cost2100-outdoor": "outdoor",
}
QUADRIGA = "quadriga"

SCENARIOS = (*CSI_SITES, *TR38901, *COST2100, QUADRIGA)
"""Every scenario by name."""

FROM_FILES = (*COST2100, QUADRIGA)
"""Scenarios that read files of the user's own."""

Samples = dict[str, NDArray[Any]]
"""Angular-delay ``matrices``, shape [N, A, C]; where the source knows them ``positions`` of users
[m], shape [N, 2]; and if asked for ``stale``, the matrices of the same users in the aged site."""

Splits = dict[str, Samples]
"""Samples of train, val and test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CsiData:
    """Which data, how many and how observed.

    Attributes:
        scenario: One of `SCENARIOS`, a traced scene (`traced_site`), a folder of DeepMIMO
            (`deepmimo_site`), or a source of the user's own, see `own_source`.
        num_antennas: Antennas of the base station.
        num_subcarriers: Subcarriers.
        counts: Samples of train, val and test.
        seed: Seed of user positions and of the split; the geometry has its own.
        guard_m: Least distance of users of val and test from those of train [m]; sites only.
        data_path: Folder (COST2100, QuaDRiGa) or file (QuaDRiGa); empty for other scenarios.
        data_key: Variable in the QuaDRiGa file; empty takes the only one that fits.
        data_axes: What the axes of files count, see `channel_axes.Axes`.
        data_drop: Leave out channels in files that are all zero or not finite.
        server_age: Age of the server's data, see `SiteConfig.age`; above 0, and with site twins
            only, every split also holds the users' pictures of that age.
    """

    scenario: str
    num_antennas: int
    num_subcarriers: int
    counts: tuple[int, int, int]
    seed: int = 0
    guard_m: float = 0.0
    data_path: str = ""
    data_key: str = ""
    data_axes: str = DEFAULT
    data_drop: bool = False
    server_age: float = 0.0

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS and not self.traced:
            own_source(self.scenario, SCENARIOS)
        if (self.scenario in FROM_FILES) != bool(self.data_path):
            raise ConfigError(
                f"scenario {self.scenario!r} reads your own files: set data_path"
                if self.scenario in FROM_FILES
                else f"data_path={self.data_path!r} has no effect with {self.scenario!r}: remove it"
            )
        own = {"data_key": "", "data_axes": DEFAULT, "data_drop": False}
        for name, default in own.items() if self.scenario != QUADRIGA else ():
            if getattr(self, name) != default:
                raise ConfigError(
                    f"{name}={getattr(self, name)!r} has no effect with {self.scenario!r}: "
                    "remove it"
                )
        Axes(self.data_axes)
        if not 0.0 <= self.server_age <= 1.0:
            raise ConfigError(f"server_age={self.server_age!r} is not in [0, 1]")
        self._check_site()

    def _check_site(self) -> None:
        if self.guard_m > 0.0 and not self.is_site:
            raise ConfigError(
                f"guard_m={self.guard_m!r}: {self.scenario!r} has no positions; set it to 0 or "
                f"take one of {', '.join(CSI_SITES)}, or a ray-traced site"
            )
        if self.server_age > 0.0 and self.scenario not in CSI_SITES:
            raise ConfigError(
                f"server_age={self.server_age!r}: {self.scenario!r} has no past; set it to 0 or "
                f"take one of {', '.join(CSI_SITES)}"
            )
        if self.traced and self.num_antennas % self.traced.rows:
            raise ConfigError(
                f"scenario={self.scenario!r}: rows={self.traced.rows} must divide "
                f"num_antennas={self.num_antennas}"
            )

    @property
    def traced(self) -> TracedSite | DeepMimoSite | None:
        """The ray-traced site that the scenario names, if it does."""
        return traced_site(self.scenario) or deepmimo_site(self.scenario)

    @property
    def is_site(self) -> bool:
        """Whether users have places on one map."""
        return self.scenario in CSI_SITES or self.traced is not None

    @property
    def geometry(self) -> Mapping[str, Any]:
        """What paths depend on beside the settings: the geometry of a site, the code of a source.

        Raises:
            DataError: If a file is missing or wrong, or Sionna RT is not installed.
        """
        if self.scenario in CSI_SITES:
            return asdict(CSI_SITES[self.scenario])
        if self.scenario in TR38901:
            return {"preset": TR38901[self.scenario].fingerprint}
        if self.traced:
            return self.traced.identity
        return {} if self.scenario in SCENARIOS else {"source": identity_of(self.scenario)}

    @property
    def fingerprint(self) -> str:
        """Identity of the data. Files of the user's own count by content, not by place."""
        files = {path.name: content_of(path) for path in self._files()}
        settings = {**asdict(self), "data_path": ""}
        if self.traced:  # a file counts by content, not by place
            settings["scenario"] = self.scenario.partition(":")[0] + ":"
        if not self.guard_m:  # data from before there was one keep their identity
            del settings["guard_m"]
        site = self.geometry
        return fingerprint({"layout": LAYOUT, **settings, "site": site, "files": files})

    def _files(self) -> list[Path]:
        path = Path(self.data_path)
        if self.scenario == QUADRIGA and path.exists():
            return channel_files(path)
        if self.scenario in COST2100 and path.is_dir():
            files = cost2100.split_files(path, COST2100[self.scenario]).values()
            return [file for file in files if file.is_file()]
        return []


def load_pictures(
    data: CsiData, *, cache_dir: Path, progress: Progress, scaling: Scaling | None = None
) -> ScenarioData:
    """Return the pictures of a scenario.

    Each split holds ``pictures``, float32 [N, 2, A, C]. Where the source knows them it also holds
    ``positions``, float32 [N, 2], of the users relative to the base station [m]; and with a
    ``server_age`` above 0 ``stale_pictures``, what the same users would have measured at that age.
    Both kinds of pictures are scaled alike, so that they can be compared.

    Args:
        data: What to load.
        cache_dir: Where slow data are kept.
        progress: Called with the users done.
        scaling: Scaling to use; fitted on the present training split if None.

    Raises:
        DataError: If a file is missing or wrong, or holds too few samples.
    """
    if data.scenario in COST2100:
        return _from_cost2100(data)
    splits, facts = load_matrices(data, cache_dir=cache_dir, progress=progress)
    scaling = scaling or Scaling.fit(splits["train"]["matrices"])
    arrays = {name: _scaled(splits[name], scaling) for name in SPLITS}
    provenance = {
        **facts,
        "fingerprint": data.fingerprint,
        "settings": asdict(data),
        "scaling_span": scaling.span,
    }
    return ScenarioData(**arrays, provenance=provenance)


def load_matrices(
    data: CsiData, *, cache_dir: Path, progress: Progress
) -> tuple[Splits, dict[str, Any]]:
    """Return channels of a scenario before they are scaled, and facts for the provenance.

    Published pictures of COST2100 are none.

    Args:
        data: What to load.
        cache_dir: Where slow data are kept.
        progress: Called with the users done.

    Raises:
        DataError: If a file is missing or wrong, or holds too few samples.
    """
    made = {
        **dict.fromkeys(CSI_SITES, _from_site),
        **dict.fromkeys(TR38901, _from_tr38901),
        QUADRIGA: _from_quadriga,
    }.get(data.scenario, _from_traced if data.traced else _from_own_source)

    def make() -> tuple[Splits, dict[str, Any]]:
        return made(data, cache_dir, progress)

    # files are read as they are, and what a source of the user's own reads is not known
    kept = data.is_site or data.scenario in TR38901
    splits, facts = _cached(data, cache_dir, make) if kept else make()
    if not data.is_site:
        return splits, facts
    near = share_within(1.0, splits["test"]["positions"], splits["train"]["positions"])
    note = f"{data.scenario}: {near:.0%} of test users are within 1 m of a training user"
    return splits, {**facts, "test_within_1_m": near, "notes": [note]}


def _scaled(samples: Samples, scaling: Scaling) -> Arrays:
    arrays = {"pictures": scaling.to_picture(samples["matrices"])}
    if "stale" in samples:
        arrays["stale_pictures"] = scaling.to_picture(samples["stale"])
    if "positions" in samples:
        arrays["positions"] = np.array(samples["positions"], np.float32)
    return arrays


def _cached(
    data: CsiData, cache_dir: Path, make: Callable[[], tuple[Splits, dict[str, Any]]]
) -> tuple[Splits, dict[str, Any]]:
    kinds = ["matrices", "positions", *(["stale"] if data.server_age else [])]
    files = {f"{split}.{kind}": (split, kind) for split in SPLITS for kind in kinds}
    cache = ArrayCache(cache_dir, f"csi-{data.fingerprint}", tuple(files), __name__)
    arrays = cache.read()
    if arrays is None:
        made, facts = make()

        def fill(paths: Mapping[str, Path]) -> None:
            for name, (split, kind) in files.items():
                np.save(paths[name], made[split][kind], allow_pickle=False)

        arrays = cache.write(fill, {"facts": facts})
    facts = cache.card()["facts"]
    return {split: {kind: arrays[f"{split}.{kind}"] for kind in kinds} for split in SPLITS}, facts


def _by_position(
    plan: SplitPlan, samples: Samples, positions: NDArray[np.float64]
) -> tuple[Splits, dict[str, Any]]:
    chosen = split_by_position(positions, plan)
    samples = {**samples, "positions": positions.astype(np.float32)}
    splits = {
        name: {kind: array[index] for kind, array in samples.items()}
        for name, index in chosen.items()
    }
    return splits, {"split": manifest(positions, plan, chosen)}


def _from_site(
    data: CsiData, _cache_dir: Path, progress: Progress
) -> tuple[Splits, dict[str, Any]]:
    cell = CSI_SITES[data.scenario]
    observation = cell.observation(data.num_antennas, data.num_subcarriers)
    plan = SplitPlan(
        cell_m=cell.split_cell_m, counts=data.counts, seed=data.seed, guard_m=data.guard_m
    )
    positions = place_users(cell, plan.to_draw, seed=data.seed)
    count = len(positions)
    ages = {"matrices": 0.0, "stale": data.server_age} if data.server_age else {"matrices": 0.0}

    def progress_of(turn: int) -> Callable[[int], None]:
        return lambda done: progress(turn * count + done, len(ages) * count, "users")

    samples: Samples = {
        kind: observe(cell.aged(age), observation, positions, progress=progress_of(turn))
        for turn, (kind, age) in enumerate(ages.items())
    }
    splits, facts = _by_position(plan, samples, positions)
    facts |= {
        "source": "geometric site twin (synthetic)",
        "synthetic": True,
        "site": asdict(cell),
        "observation": asdict(observation),
    }
    return splits, facts


def _from_traced(
    data: CsiData, cache_dir: Path, progress: Progress
) -> tuple[Splits, dict[str, Any]]:
    site = data.traced
    assert site is not None, "the scenario names one"
    observation = Observation(
        bandwidth_hz=site.bandwidth_mhz * 1e6,
        num_antennas=data.num_antennas,
        num_subcarriers=data.num_subcarriers,
        rows=site.rows,
    )
    plan = SplitPlan(cell_m=site.block_m, counts=data.counts, seed=data.seed, guard_m=data.guard_m)
    paths, positions, known = site.users(plan, cache_dir=cache_dir, progress=progress)
    matrices = np.concatenate(
        [to_angular_delay(channel(part, observation), site.rows) for part in paths.parts(CHUNK)]
    )
    splits, facts = _by_position(plan, {"matrices": matrices}, positions)
    facts |= {
        **known,
        "source": site.source,
        "site": site.identity,
        "observation": {**asdict(observation), "carrier_hz": site.carrier_hz},
        "synthetic": True,
        "licence": site.licence,
    }
    return splits, facts


def _from_tr38901(
    data: CsiData, cache_dir: Path, progress: Progress
) -> tuple[Splits, dict[str, Any]]:
    preset = TR38901[data.scenario]
    plan = SplitPlan(cell_m=10.0, counts=data.counts, seed=data.seed)
    config = replace(
        preset,
        num_antennas=data.num_antennas,
        num_subcarriers=data.num_subcarriers,
        bandwidth_hz=preset.bandwidth_hz * data.num_subcarriers / 32,
        num_samples=plan.to_draw,
        seed=data.seed,
    )
    channels, positions = tr38901.load(config, cache_dir=cache_dir, progress=progress)
    splits, facts = _by_position(plan, {"matrices": to_angular_delay(channels)}, positions)
    facts |= {
        "source": "3GPP TR 38.901 drops by Sionna; independent of each other, so that nothing "
        "beyond PCA can be learnt",
        "card": tr38901.read_card(config, cache_dir=cache_dir),
    }
    return splits, facts


def _from_quadriga(
    data: CsiData, _cache_dir: Path, _progress: Progress
) -> tuple[Splits, dict[str, Any]]:
    path = Path(data.data_path)
    found = find_channels(path, key=data.data_key, axes=data.data_axes)
    shape = (data.num_antennas, data.num_subcarriers)
    taken, facts = take_split(path, found, shape=shape, counts=data.counts, drop=data.data_drop)
    splits, split = _by_order(data, taken)
    files = channel_files(path)
    return splits, {
        **split,
        **facts,
        "source": f"channels in {path.name}",
        "sha256": content_of(path)
        if files == [path]
        else {file.name: content_of(file) for file in files},
    }


def _from_own_source(
    data: CsiData, _cache_dir: Path, _progress: Progress
) -> tuple[Splits, dict[str, Any]]:
    shape = (sum(data.counts), data.num_antennas, data.num_subcarriers)
    channels = draw_channels(data.scenario, SCENARIOS, shape=shape, seed=data.seed)
    chosen = split_by_order(np.arange(len(channels)), data.counts)
    assert chosen is not None, "as many as were asked for"
    splits, facts = _by_order(data, {name: channels[rows] for name, rows in chosen.items()})
    return splits, facts | {"source": f"{data.scenario}, code of the user's own"}


def _by_order(
    data: CsiData, channels: Mapping[str, NDArray[np.complex64]]
) -> tuple[Splits, dict[str, Any]]:
    """Keep what was cut in blocks: without positions that keeps neighbours on a track together."""
    splits: Splits = {
        name: {"matrices": replace_by_angular_delay(channels[name])} for name in SPLITS
    }
    samples = dict(zip(SPLITS, data.counts, strict=True))
    return splits, {"split": {"by": "order in the file", "samples": samples}}


def _from_cost2100(data: CsiData) -> ScenarioData:
    folder = Path(data.data_path)
    if (data.num_antennas, data.num_subcarriers) != cost2100.SHAPE[1:]:
        raise ConfigError(
            f"COST2100 files hold {cost2100.SHAPE[1]} x {cost2100.SHAPE[2]} matrices: set "
            f"num_antennas and num_subcarriers to these, got {data.num_antennas=}, "
            f"{data.num_subcarriers=}"
        )
    read = cost2100.read_cost2100_folder(folder, environment=COST2100[data.scenario])
    arrays = {"train": read.train, "val": read.val, "test": read.test}
    short = {n: c for n, c in zip(SPLITS, data.counts, strict=True) if len(arrays[n]) < c}
    if short:
        held = ", ".join(f"{len(arrays[n])} of {c} {n} samples" for n, c in short.items())
        raise DataError(f"{folder}: only {held}: lower num_train, num_val or num_test")
    cut: dict[str, Arrays] = {
        name: {"pictures": arrays[name][:count]}
        for name, count in zip(SPLITS, data.counts, strict=True)
    }
    provenance = {
        **read.provenance,
        "split": {"by": "published files"},
        "fingerprint": data.fingerprint,
        "settings": asdict(data),
    }
    return ScenarioData(**cut, provenance=provenance)
