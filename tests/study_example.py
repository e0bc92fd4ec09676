"""A study file that uses every feature, and the same with one place changed."""

from search_spaces.study_yaml import dump_yaml, load_yaml

EXAMPLE = """\
name: example            # comments survive
title: A small study of everything
description: Used by tests only.
task: csi-feedback
parameters: {preset: quick}
space:
  temperature: {type: float, low: 1, high: 20, log: true, when: {method: autoencoder-kd}}
  method: {type: choice, values: [vanilla, autoencoder-kd]}
  width: {type: int, low: 2, high: 16, step: 2}
objectives:
  - {metric: val_nmse_db, direction: minimize, unit: dB, reference: 0.0, label: NMSE}
  - {metric: ue_flops, direction: minimize, unit: FLOPs, reference: 2e6, scale: log}
constraints:
  - {metric: payload_bits, max: 2048}
search:
  sampler: tpe
  points:
    - {method: vanilla, width: [2, 8]}
    - {method: autoencoder-kd, temperature: 4, batch_size: 200}
effort: as-published
budget: {trials: 32, epochs: null, time: 10m}
stopping: {kind: asha, min_share: 0.1, eta: 4, min_trials: 8}
resources: {cpus: 2, gpus: 0.5, slots: 3}
seeds: {search: 0, trial: 1, confirm: [101, 102]}
confirm: {select: front, retrain: true, limit: null}
report:
  tables:
    - id: II
      title: text
      source: "Cui et al., Table II"
      columns: [{metric: test_nmse_db, label: "NMSE [dB]"}]
      rows:
        - id: t16
          label: teacher
          role: teacher
          match: {compression: 16}
          paper: {test_nmse_db: -10.39}
        - {id: v16, role: confirmation, match: {method: vanilla}}
        - {id: a16, role: confirmation, match: {method: autoencoder-kd}}
  claims:
    - {id: order, text: teacher < KD < vanilla, metric: test_nmse_db, order: [t16, a16, v16]}
    - {id: worse, text: KD helps, metric: test_nmse_db, not_worse: [a16, v16]}
    - {id: inner, text: in between, metric: test_nmse_db, interior: [t16, a16, v16]}
"""


def dump_with(place, value):
    """Return the example with one place changed, without the code under test for overrides."""
    raw = load_yaml(EXAMPLE, "example.yaml")
    *steps, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    node = raw
    for step in steps:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = load_yaml(value, "value")
    return dump_yaml(raw)
