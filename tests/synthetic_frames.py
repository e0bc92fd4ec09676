"""Made-up sweeps: tables as the reader returns them, and the same sweep as recorded runs."""

import json
from dataclasses import replace
from typing import Any

import numpy as np

from analysis import layout
from analysis.frames import PARAM, SweepFrames, table
from analysis.pareto import behind_front
from analysis.ranking import objective_values, rank_trials
from analysis.results_file import RecordedRun
from search_spaces.study import Study, parse_study

STUDY = """
name: made-up
title: Made-up CSI feedback
description: Numbers from a formula, for tests and for looking at the report.
task: csi-feedback
parameters: {preset: quick, scenario: site}
space:
  method: {type: choice, values: [vanilla, autoencoder-kd, encoder-kd]}
  compression: {type: choice, values: [8, 16, 32]}
  width: {type: int, low: 2, high: 16, step: 2}
  learning_rate: {type: float, low: 0.0005, high: 0.01, log: true}
  temperature: {type: float, low: 1, high: 20, log: true, when: {method: [autoencoder-kd]}}
  alpha: {type: float, low: 0, high: 1, when: {method: [autoencoder-kd]}}
objectives:
OBJECTIVES
constraints: [{metric: payload_bits, max: 4096}]
search: {sampler: tpe}
budget: {trials: 32, time: 10m}
seeds: {search: 0, trial: 0, confirm: [101, 102, 103]}
confirm: {select: front, retrain: true, limit: null}
report: REPORT
"""
OBJECTIVES = (
    "{metric: val_nmse_db, direction: minimize, unit: dB, reference: 0.0, label: NMSE}",
    "{metric: ue_flops, direction: minimize, unit: FLOPs, reference: 4.0e6, scale: log, "
    "label: UE encoder FLOPs}",
    "{metric: payload_bits, direction: minimize, unit: bit, reference: 5000, label: payload}",
    "{metric: val_cosine, direction: maximize, unit: '', reference: 0.0, label: cosine}",
    "{metric: ue_params, direction: minimize, unit: '', reference: 1.0e6, label: UE parameters}",
)
REPORT = """
  tables:
    - id: II
      title: NMSE of the methods
      source: "A paper, Table II"
      columns: [{metric: test_nmse_db, label: "NMSE [dB]"}]
      rows:
        - {id: t16, label: teacher 1/16, role: teacher, match: {compression: 16},
           paper: {test_nmse_db: -10.39}}
        - {id: p16, label: PCA 1/16, role: baseline, match: {compression: 16}, paper: {}}
        - {id: v16, label: vanilla 1/16, role: trial, match: {method: vanilla, compression: 99},
           paper: {test_nmse_db: -8.5}}
  claims:
    - {id: order, text: "the teacher beats PCA", metric: test_nmse_db, order: [t16, p16]}
    - {id: gone, text: "vanilla beats PCA", metric: test_nmse_db, order: [v16, p16]}
"""


def study(objectives: int = 2, *, report: bool = False) -> Study:
    """Return the study with its first objectives."""
    lines = "\n".join(f"  - {line}" for line in OBJECTIVES[:objectives])
    text = STUDY.replace("OBJECTIVES", lines).replace("REPORT", REPORT if report else "{}")
    return parse_study(text, "synthetic study")


def _metrics(params: dict[str, Any], rng: np.random.Generator, gain: float) -> dict[str, float]:
    """Return the numbers of a trial; ``gain`` is what distillation brings [dB]."""
    compression, width = params["compression"], params["width"]
    helped = {"vanilla": 0.0, "autoencoder-kd": 0.5, "encoder-kd": 1.0}[params["method"]] * gain
    rate = abs(np.log10(params["learning_rate"] / 0.004))
    mild = 0.0 if "temperature" not in params else 0.3 * abs(np.log(params["temperature"] / 5))
    quality = 9.0 - 1.9 * np.log2(compression / 8) + 0.9 * np.log2(width / 4) + helped
    nmse = -quality + 1.1 * rate + mild + 0.15 * rng.normal()
    dense = 512 * (512 // compression)
    return {
        "val_nmse_db": float(nmse),
        "val_cosine": float(np.sqrt(1 - 10 ** (min(nmse, -0.1) / 10))),
        "ue_flops": float(2 * dense + 36 * 256 * width),
        "ue_params": float(dense + 18 * width),
        "payload_bits": float(512 // compression * 32),
        "train_core_seconds": float(20 + 2 * width + 5 * rng.random()),
        "trial_cpu_s": 30.0 + float(width),
        "teacher_forward_samples": 0.0,
    }


def facts(kind: str, number: int | None, key: str) -> dict[str, Any]:
    """Return what every run of a kind has, whatever it measured."""
    return {
        "number": number,
        "state": "COMPLETE",
        "reason": "",
        "front": None,
        "rank": None,
        "key": f"{kind}/{key}",
        "name": f"{kind}/{key}",
        "method": None,
        "taught": None,
        "ended_ms": 1000 * ((number or 0) + 1),
    }


def _trial_rows(spec: Study, count: int, gain: float, failures: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    rows = []
    failed = sorted(range(count + failures), key=lambda number: (number % 8 != 5, number))[
        :failures
    ]
    for number in range(count + failures):
        params = spec.space.sample(rng)
        row = facts("trial", number, str(number)) | {"method": params["method"]}
        row["taught"] = params["method"] != "vanilla"
        row |= {PARAM + name: value for name, value in params.items()}
        row |= {PARAM + "seed": 0, PARAM + "preset": "quick"}
        if number in failed:
            reason = "training diverged: loss is NaN at epoch 3 <b>&</b> lr=0.0098"
            row |= {"state": "FAIL", "reason": reason, "failure": "not_finite"}
        else:
            row |= _metrics(params, rng, gain)
        rows.append(row)
    return rows


def _references() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    baselines, teachers = [], []
    for compression in (8, 16, 32):
        pca = -6.2 + 1.2 * np.log2(compression / 8)
        teacher = -10.6 + 1.5 * np.log2(compression / 8)
        dense = 512.0 * (512 // compression)
        for rows, kind, value, flops in (
            (baselines, "baseline", pca, 2 * dense),
            (teachers, "teacher", teacher, 2 * dense + 2.4e6),
        ):
            key = f"PCA 1/{compression}" if kind == "baseline" else f"0123abc{compression}"
            rows.append(
                facts(kind, None, key)
                | {PARAM + "compression": compression, PARAM + "seed": 0}
                | {"val_nmse_db": value, "test_nmse_db": value + 0.1, "ue_flops": flops}
                | {"payload_bits": 512 // compression * 32.0}
            )
    return baselines, teachers


def _nearest(trials: list[dict[str, Any]], spec: Study, near: int) -> set[int]:
    """Return the numbers of the trials off the front that are nearest to it."""
    rows = [row for row in trials if row["rank"] is not None]
    values = objective_values(table(rows), spec)
    distances = behind_front(values, spec.objectives)
    order = [rows[index]["number"] for index in np.argsort(distances, kind="stable")]
    return set([number for number in order if not trials[number]["front"]][:near])


def _confirmations(trials: list[dict[str, Any]], spec: Study, near: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    rows = []
    beside = _nearest(trials, spec, near)
    for trial in trials:
        for seed in spec.seeds.confirm if trial["front"] or trial["number"] in beside else ():
            value = trial["val_nmse_db"] + 0.2 + 0.12 * rng.normal()
            params = {name: v for name, v in trial.items() if name.startswith(PARAM)}
            rows.append(
                facts("confirmation", trial["number"], f"{trial['number']}/{seed}")
                | params
                | {PARAM + "seed": seed, "method": trial["method"]}
                | {"test_nmse_db": float(value), "test_cosine": 0.8 + 0.01 * rng.random()}
            )
    return rows


def make_frames(
    trials: int = 40,
    *,
    objectives: int = 2,
    gain: float = 0.9,
    failures: int = 2,
    report: bool = False,
    near: int = 0,
) -> SweepFrames:
    """Return a made-up sweep.

    Args:
        trials: Finished trials.
        objectives: How many objectives, 1 to 5.
        gain: What distillation brings [dB]; negative if it does harm.
        failures: Failed trials.
        report: Whether the study has a paper's tables.
        near: How many trials off the front are repeated, too.
    """
    spec = study(objectives, report=report)
    rows = _trial_rows(spec, trials, gain, failures)
    ranks = rank_trials(table(rows), spec)
    rows = [
        row | {"rank": rank, "front": None if rank is None else rank == 0}
        for row, rank in zip(rows, ranks, strict=True)
    ]
    frame = table(rows)
    baselines, teachers = _references()
    return SweepFrames(
        name="made-up-1",
        study=spec,
        metrics={},
        trials=frame,
        teachers=table(teachers),
        baselines=table(baselines),
        confirmations=table(_confirmations(rows, spec, near)),
        provenance={"data": {"source": "a formula", "samples": [9000, 2000, 2000]}},
        environment={"python": "3.11", "packages": {"torch": "2.13.0"}},
        wall_time_s=754.0,
    )


def without_references(frames: SweepFrames) -> SweepFrames:
    """Return the sweep without baselines, teachers and confirmations."""
    return replace(frames, baselines=table([]), teachers=table([]), confirmations=table([]))


def as_runs(frames: SweepFrames) -> list[RecordedRun]:
    """Return the runs of the sweep as the engine records them, its own first."""
    goal = frames.study.objectives[0].metric
    texts = {
        layout.STUDY_FILE: frames.study.text,
        layout.PROVENANCE_FILE: json.dumps(dict(frames.provenance)),
        layout.ENVIRONMENT_FILE: json.dumps(dict(frames.environment)),
    }
    wall_ms = int(1000 * (frames.wall_time_s or 0))
    tags = {layout.ROLE: layout.ROLE_SWEEP}
    sweep = {"name": frames.name, "tags": tags, "params": {}, "metrics": {}, "texts": texts}
    runs = [RecordedRun(started_ms=1, ended_ms=1 + wall_ms, **sweep)]
    for rows, role in (
        (frames.trials, layout.ROLE_TRIAL),
        (frames.baselines, layout.ROLE_BASELINE),
        (frames.teachers, layout.ROLE_TEACHER),
        (frames.confirmations, layout.ROLE_CONFIRMATION),
    ):
        for row in rows.to_dict("records"):
            params = {k: str(v) for k, v in row.items() if k.startswith(PARAM) and v is not None}
            curve = frames.curves.get(row["number"]) if role == layout.ROLE_TRIAL else None
            runs.append(
                RecordedRun(
                    name=row["name"],
                    started_ms=None,
                    ended_ms=row["ended_ms"],
                    tags=_tags(row, role),
                    params={k.removeprefix(PARAM): v for k, v in params.items()},
                    metrics={k: v for k, v in row.items() if _is_metric(k, v)},
                    curves={goal: curve} if curve else {},
                )
            )
    return runs


def _is_metric(name: str, value: Any) -> bool:
    return not name.startswith(PARAM) and isinstance(value, float) and np.isfinite(value)


def _tags(row: dict[str, Any], role: str) -> dict[str, str]:
    tags = {layout.ROLE: role, layout.CHILD_KEY: row["key"], layout.STATE: row["state"]}
    tags[layout.REASON] = row["reason"]
    if row.get("failure"):
        tags[layout.FAILURE] = row["failure"]
    if row["number"] is not None:
        tags[layout.TRIAL_NUMBER] = str(row["number"])
    if row["method"] is not None:
        tags[layout.METHOD] = row["method"]
    if row["taught"] is not None:
        tags[layout.TEACHER] = str(row["taught"]).lower()
    if row.get(PARAM + layout.TOPOLOGY) is not None:
        tags[layout.TOPOLOGY] = row[PARAM + layout.TOPOLOGY]
    if row["rank"] is not None:
        tags[layout.RANK] = str(row["rank"])
        tags[layout.ON_FRONT] = str(row["front"]).lower()
    return tags
