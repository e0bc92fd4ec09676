"""Names in MLflow and in a sweep's folder; `sweeps.tracking.writer` and readers agree here."""

ROLE = "kdsweep.role"
"""Tag: what a run is. One of the values below."""
ROLE_SWEEP = "sweep"
ROLE_TRIAL = "trial"
ROLE_BASELINE = "baseline"
ROLE_TEACHER = "teacher"
ROLE_CONFIRMATION = "confirmation"

PARENT = "mlflow.parentRunId"
"""Tag of a run that belongs to another one."""
SWEEP_ID = "kdsweep.id"
"""Tag of a sweep's run: unique id; another sweep may have the same name."""
BESIDE = ("kdsweep.artifacts", "beside the database")
"""Tag of an experiment whose artifacts lie in the folder ``artifacts`` beside its database.

Addresses in the database are absolute, and stale once it was moved or copied."""
TRIAL_NUMBER = "kdsweep.trial"
"""Tag: the trial's number in the ledger; a confirmation carries that of the trial it repeats."""
CHILD_KEY = "kdsweep.key"
"""Tag: unique name of a child run within its sweep (``trial/7``, ``teacher/0123abcd``,
``baseline/PCA 1/16``, ``confirmation/7/101``); makes writing idempotent."""
STATE = "kdsweep.state"
"""Tag: the trial's state in the ledger: COMPLETE, PRUNED or FAIL."""
REASON = "kdsweep.reason"
"""Tag: why a trial failed or was stopped early."""
FAILURE = "kdsweep.failure"
"""Tag: kind of a failed trial's failure; absent if it did not fail."""
FAILURE_INTERRUPTED = "interrupted"
"""Value of `FAILURE` that is no failure: the user stopped the sweep, and the trial ran again."""
ON_FRONT = "pareto.front"
"""Tag: ``true`` or ``false``, of finished trials."""
RANK = "pareto.rank"
"""Tag: 0 on the front, 1 on the front of the rest, and so on."""
NEAR = "pareto.near"
"""Tag: ``true`` or ``false``, of finished trials: whether it is of the first ranks, which together
are no more than MLflow's charts load. MLflow cannot search for several ranks at once."""
METHOD = "method"
TEACHER = "kdsweep.teacher"
"""Tag: ``true`` or ``false``, of trials that got a slot: whether they had a teacher."""
SCENARIO_KEY, TEACHER_KEY = "kdsweep.scenario_key", "kdsweep.teacher_key"
"""Tags of confirmations: fingerprints of their scenario and, if they had one, their teacher."""
TOPOLOGY = "topology"
"""Tag: topology, of runs that have this parameter."""
FIDELITY = "fidelity"
"""Tag: ``full`` for a complete training, else the share that was trained."""
MEASURED_ON = "onnx.measured_on"
"""Tag: runtime and machine on which an exported trial's student was timed."""
RUNG = "rung"
"""Tag: share of the training at which a trial was stopped early; absent if it never began."""

FAILED_KIND = "failed_"
"""Prefix of the sweep's metrics that count failed trials by kind of failure."""
UTILISATION, UTILISATION_WHOLE = "utilisation", "utilisation_whole"
"""Metrics of the sweep: share of the slots' time that trials kept busy, by its last driver, once
all slots were warm and in the whole search."""
TRIALS_CPU_S, TRIALS_WALL_S = "trials_cpu_s", "trials_wall_s"
"""Metrics of the sweep: processor time of all nodes of the finished trials [s], and wall time of
all trials that ran [s]."""
FAILURES_FILE = "failures.json"
"""Attached to the sweep's run: why trials and jobs failed, one entry per reason, and where."""

TRACEBACK_FILE = "traceback.txt"
"""Attached to the run of a trial or job that raised: where."""

ONNX_LATENCY = "onnx_latency_ms"
"""Metric of an exported trial: latency of all networks of a node in ONNX Runtime, one sample,
one thread, median [ms]; of several nodes the mean. Trials that were not exported do not have it."""
ONNX_BYTES = "onnx_bytes"
"""Metric of such a trial: size of a node's ONNX files [byte]."""

HYPERVOLUME = "hypervolume"
"""Metric of the parent run; its step is the number of finished trials."""

PROVENANCE_FILE, ENVIRONMENT_FILE = "provenance.json", "environment.json"
"""Attached to the sweep's run: facts about the data; versions and machine."""

JOURNAL_FILE = "journal.log"
RESULTS_FILE = "results.parquet"
"""All runs of a sweep, see `analysis.results_file`."""
MLFLOW_FILE = "mlflow.db"
STUDY_FILE = "study.yaml"
WEIGHTS_DIR = "weights"
REPORT_DIR = "report"
REPORT_FILE = "report.html"
FRONT_PARQUET = "front.parquet"
FRONT_JSON = "front.json"
FRONT_PNG = "front.png"
REPORT_FILES = (REPORT_FILE, FRONT_PARQUET, FRONT_JSON, FRONT_PNG)
REPORT_SUMS = "SHA256SUMS"
"""Hashes of the report's files, as ``sha256sum --check`` takes them."""
LOG_FILE = "log.jsonl"
"""What happened and when; its fields are in `sweeps.progress.log`."""
VIEWS_FILE = "mlflow-views.json"
"""Titles and addresses of the ready-made views in MLflow's UI."""

PALETTE = ("#0072B2", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7A6A53")
"""Colour-blind safe: Okabe and Ito (2008) without black and yellow, which vanish on dark and light
ground, and two more that stay apart from them in lightness; green is kept for students without a
teacher."""
UNTAUGHT = "#009E73"
"""Colour of students without a teacher."""
RUN_COLOUR = "mlflow.runColor"
"""Tag: colour of a run in MLflow's charts."""
