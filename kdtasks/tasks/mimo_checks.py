"""The parameters of MIMO detection, checked: presets filled in, and whom each concerns."""

from kdtasks.config import Params, Value
from kdtasks.errors import ConfigError
from kdtasks.methods.mimo_gene import Segment, Stack, stack_of
from kdtasks.methods.mimo_job import soft_loss
from kdtasks.tasks.mimo_settings import MAX_TASKS, MimoSettings
from kdtasks.tasks.parameters import checked, without_idle

PRESETS: dict[str, dict[str, Value]] = {
    # With 250 steps per link the segment is ahead early and level after 1000 steps; with 750 it is
    # ahead from then on, too (measured, see benchmarks/mimo_detectors.py).
    "standard": {"val_uses": 6000, "test_uses": 10_000, "stream_steps": 750, "steps": 1000},
    "quick": {"val_uses": 3000, "test_uses": 4000, "stream_steps": 400, "steps": 400},
}


def _inactive(settings: MimoSettings) -> dict[str, str]:
    """Return the parameters without effect on this trial, each with what it belongs to."""
    inherits = (settings.inherits, "methods learngene and learngene-kd")
    distils = (settings.distils, "methods kd and learngene-kd")
    collective = (settings.has_teacher, "methods with a collective model")
    softened = settings.distils and settings.soft_loss == "kl"
    own = settings.method != "finetune"
    conv = settings.family == "conv"
    mixed = settings.inherits and conv and settings.width != settings.collective_width
    owners: dict[str, tuple[bool, str]] = {
        "width": (own, "individuals that are not the collective"),
        "depth": (own, "individuals that are not the collective"),
        "head_width": (own and conv and not _head_inherited(settings), "heads of one's own"),
        "head_layers": (own and conv and not _head_inherited(settings), "heads of one's own"),
        "adapter": (mixed, "an inherited segment of another width"),
        "state": (not conv, "family unrolled"),
        "shared": (not conv, "family unrolled"),
        **dict.fromkeys(OF_COLLECTIVE, collective),
        "first_width": (
            settings.has_teacher and conv and len(settings.stream_links) > 1,
            "collectives of convolutions that learn several links",
        ),
        "gene_rule": inherits,
        "gene_start": (
            settings.inherits and settings.gene_rule == "position",
            "methods learngene and learngene-kd with gene_rule position",
        ),
        "gene_length": inherits,
        "treatment": inherits,
        "gene_rate_share": (inherits[0] and settings.treatment == "slower", "treatment slower"),
        "ewc_weight": (inherits[0] and settings.treatment == "ewc", "treatment ewc"),
        "alpha": distils,
        "soft_loss": distils,
        "temperature": (softened, "methods kd and learngene-kd, and soft_loss kl"),
    }
    return {name: owner for name, (active, owner) in owners.items() if not active}


def _head_inherited(settings: MimoSettings) -> bool:
    """Tell whether the segment ends at the top; where a rule chooses it, that is not known yet."""
    named = settings.inherits and settings.gene_rule == "position"
    return named and settings.gene_start + settings.gene_length == units_of(settings).total


OF_COLLECTIVE = (
    "stream",
    "collective_width",
    "collective_depth",
    "first_width",
    "stream_steps",
    "stream_batch",
    "stream_rate",
    "stream_later_rate",
    "replay_share",
    "teacher_seed",
)
"""Parameters of the collective alone: without one they have no effect."""

MUST_FIT = frozenset(
    {
        "gene_rule",
        "gene_start",
        "gene_length",
        "treatment",
        "gene_rate_share",
        "ewc_weight",
        "alpha",
        "soft_loss",
        "temperature",
    }
)
"""Parameters that are refused where they have no effect. The others (the collective's, sizes of
networks) are dropped, so that a study can fix them for all methods at once."""


def resolve(params: Params) -> MimoSettings:
    """Check parameters and fill in the preset.

    Raises:
        ConfigError: Naming the parameter, its value and what would be accepted.
    """
    settings = checked(params, MimoSettings, PRESETS, task="mimo-detection")
    settings = _in_one_spelling(settings)
    idle = _inactive(settings)
    settings = without_idle(settings, params, idle, MUST_FIT, PRESETS[settings.preset])
    # Links are spelt anew, for defaults of parameters that have no effect are as written above.
    settings = _in_one_spelling(settings)
    _fits(settings)
    return settings


def _in_one_spelling(settings: MimoSettings) -> MimoSettings:
    """Return settings whose links are named in one way, and whose segment ends at the top."""
    parts = settings.stream.split(",")
    if len(parts) > MAX_TASKS:
        raise ConfigError(f"stream has {len(parts)} links; {MAX_TASKS} is the most")
    try:
        target = settings.link.name
    except ConfigError as error:
        raise ConfigError(f"target: {error}") from error
    try:
        stream = ", ".join(link.name for link in settings.stream_links)
    except ConfigError as error:
        raise ConfigError(f"stream: {error}") from error
    units = stack_of(settings.collective).total
    length = settings.gene_length
    if settings.inherits and settings.gene_rule == "position":
        if settings.gene_start >= units:
            raise ConfigError(
                f"gene_start={settings.gene_start} must be below {units}, the units of a "
                f"collective of collective_depth={settings.collective_depth}"
            )
        length = min(length, units - settings.gene_start)
    return settings.model_copy(update={"target": target, "stream": stream, "gene_length": length})


def _fits(settings: MimoSettings) -> None:
    try:
        soft_loss(settings.soft_loss, settings.temperature)
    except ConfigError as error:
        raise ConfigError(f"soft_loss: {error}") from error
    if settings.snr_low_db > settings.snr_high_db:
        raise ConfigError(
            f"snr_low_db={settings.snr_low_db:g} must be at most "
            f"snr_high_db={settings.snr_high_db:g}"
        )
    if settings.first_width > settings.collective_width:
        raise ConfigError(
            f"first_width={settings.first_width} must be at most "
            f"collective_width={settings.collective_width}, to which the collective grows"
        )
    if not settings.inherits:
        return
    if settings.family == "unrolled" and settings.width != settings.collective_width:
        raise ConfigError(
            f"width={settings.width} must be collective_width={settings.collective_width} with "
            "family unrolled: only networks of family conv have adapters"
        )
    settings.individual(first_guess(settings))


def first_guess(settings: MimoSettings) -> Segment:
    """Return the segment that parameters name, or one of its length at the bottom.

    Which one a rule takes is known once there is a collective.
    """
    start = settings.gene_start if settings.gene_rule == "position" else 0
    return Segment(start, min(settings.gene_length, units_of(settings).total))


def units_of(settings: MimoSettings) -> Stack:
    """Return the units of the collective."""
    return stack_of(settings.collective)


def completed(settings: MimoSettings) -> dict[str, Value]:
    """Return what decides this trial: every parameter that has an effect on it."""
    inactive = _inactive(settings)
    return {name: v for name, v in settings.model_dump().items() if name not in inactive}
