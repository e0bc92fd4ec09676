"""Conversion between Optuna's trials in a journal and our records."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from optuna.samplers import NSGAIIISampler, NSGAIISampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from kdtasks.contract.params import Params
from search_spaces.space import Space
from search_spaces.to_optuna import suggest
from sweeps.common import records
from sweeps.common.records import EarlierTrial, FailureKind, RungEntry, TrialRecord

# Attributes of trials.
PARAMS, CONFIG, METRICS = "params", "config", "metrics"
REASON, FAILURE, TRACEBACK = "reason", "failure", "traceback"
DUPLICATE, INTERRUPTED = "duplicate", "interrupted"
STARTED_MS, TAUGHT = "started_ms", "taught"
CURVES = "curves"
RUNGS, TRAINED = "rungs", "trained"
SHA256 = "sha256"
POINT, RETRY_OF = "point", "retry_of"
EARLIER = "earlier"
"""Origin of a trial of an earlier sweep, which only samplers use."""

FIXED = "fixed_params"
"""Optuna's own attribute for the given parameters of a waiting trial."""
GENERATION = "generation"
"""Suffix of the attributes in which genetic samplers store a trial's generation."""
FIRST_GENERATION = {f"{of.__name__}:{GENERATION}": 0 for of in (NSGAIISampler, NSGAIIISampler)}
"""Without it a genetic sampler ignores trials that it has not suggested."""


def unpacked(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial with its attributes as a `dict`, see `sweeps.ledger.journal.Packed`."""
    trial = copy(trial)
    trial.user_attrs = trial.user_attrs.copy()
    return trial


def is_interrupted(trial: FrozenTrial) -> bool:
    """Return whether a trial failed only because its driver ended."""
    return bool(trial.user_attrs.get(INTERRUPTED, False))


def is_earlier(trial: FrozenTrial) -> bool:
    """Return whether a trial belongs to an earlier sweep."""
    return EARLIER in trial.user_attrs


def all_params(trial: FrozenTrial) -> Params | None:
    """Return the searched parameters; None if the driver died before they were all drawn."""
    given = trial.system_attrs.get(FIXED) if RETRY_OF in trial.user_attrs else None
    params: Params | None = trial.user_attrs.get(PARAMS, given)
    return params


def record_of(trial: FrozenTrial, number: int) -> TrialRecord:
    """Return the record of a trial, under its number in the sweep."""
    attrs, ended = trial.user_attrs.copy(), trial.datetime_complete
    return TrialRecord(
        number=number,
        state=records.TrialState(trial.state.name),
        params=attrs.get(PARAMS, trial.params),
        metrics=attrs.get(METRICS, {}),
        reason=attrs.get(REASON, ""),
        failure=_failure(attrs),
        traceback=attrs.get(TRACEBACK, ""),
        duplicate=attrs.get(DUPLICATE, False),
        config=attrs.get(CONFIG, {}),
        taught=attrs.get(TAUGHT),
        violations=dict(trial.constraints),
        interrupted=attrs.get(INTERRUPTED, False),
        curves=attrs.get(CURVES, ""),
        rungs=tuple(RungEntry(**entry) for entry in attrs.get(RUNGS, ())),
        trained=tuple(attrs[TRAINED]) if TRAINED in attrs else None,
        sha256=attrs.get(SHA256, ""),
        started_ms=attrs.get(STARTED_MS),
        ended_ms=None if ended is None else int(ended.timestamp() * 1000),
    )


def _failure(attrs: Mapping[str, Any]) -> FailureKind | None:
    if attrs.get(INTERRUPTED, False):
        return FailureKind.INTERRUPTED
    return FailureKind(attrs[FAILURE]) if FAILURE in attrs else None


def retry_of(trial: FrozenTrial, params: Params) -> FrozenTrial:
    """Return a waiting trial that repeats an interrupted one."""
    attrs: dict[str, Any] = {RETRY_OF: trial.number}
    if POINT in trial.user_attrs:
        attrs[POINT] = trial.user_attrs[POINT]
    kept = {key: value for key, value in trial.system_attrs.items() if key.endswith(GENERATION)}
    return create_trial(
        state=TrialState.WAITING,
        system_attrs={**kept, FIXED: dict(params)},
        user_attrs=attrs,
    )


def earlier_trial(trial: EarlierTrial, space: Space) -> FrozenTrial:
    """Convert a trial of an earlier sweep to the present space."""
    drawn = FixedTrial(dict(trial.params))
    params = suggest(drawn, space)
    return create_trial(
        state=TrialState.COMPLETE,
        values=list(trial.values),
        params=params,
        distributions=drawn.distributions,
        user_attrs={EARLIER: f"{trial.sweep}/{trial.number}"},
        system_attrs=dict(FIRST_GENERATION),
        constraints=dict(trial.violations),
    )
