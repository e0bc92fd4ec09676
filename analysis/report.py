"""One self-contained page per sweep, and the front as picture and data files."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from unicodedata import category

import plotly.graph_objects as go
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from analysis import format as text
from analysis import layout
from analysis.claims import judged_claims
from analysis.distillation import effort_text
from analysis.export import write_json, write_parquet
from analysis.failures import UNKNOWN, spoken
from analysis.frames import MOST_CURVES, SweepFrames
from analysis.front_png import write_png
from analysis.front_rows import front_notes
from analysis.fronts import by_topology
from analysis.highlights import highlights
from analysis.importance import FEWEST_TRIALS, Importance, begin_importances
from analysis.origin import origin_lines
from analysis.paper_view import paper_views
from analysis.plots.curves import curves_figure
from analysis.plots.effort import effort_figure
from analysis.plots.front import front_figure
from analysis.plots.importance import importance_figure
from analysis.plots.parallel import MOST_LINES, parallel_figure
from analysis.plots.progress import (
    history_figure,
    hypervolume_figure,
    reference_text,
    volume_cost_figure,
    volume_unit,
)
from analysis.plots.stairs import pairs
from analysis.plots.theme import group_colours
from analysis.repeats import RESAMPLES, seed_sets
from analysis.report_tables import failed_rows, report_tables
from analysis.summary import counts, summary
from search_spaces.study import Study

Found = Callable[[], Sequence[Importance]]


def build_report(frames: SweepFrames, out_dir: Path, found: Found | None = None) -> Path:
    """Write the report of a sweep, also one without finished trials, and return its page.

    Beside the page are the other ``REPORT_FILES`` of `analysis.layout`.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    write_json(frames, out_dir / layout.FRONT_JSON)
    write_parquet(frames, out_dir / layout.FRONT_PARQUET)
    write_png(frames, out_dir / layout.FRONT_PNG)
    page = out_dir / layout.REPORT_FILE
    page.write_text(render(frames, found), encoding="utf-8")
    written = (out_dir / name for name in layout.REPORT_FILES)
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in written]
    (out_dir / layout.REPORT_SUMS).write_text("".join(sums), encoding="utf-8")
    return page


def render(frames: SweepFrames, found: Found | None = None) -> str:
    """Return the report as one HTML page that needs no network, see `build_report`."""
    figures = _figures(frames, found or begin_importances(frames))
    names, claims = [*figures["front"], *figures["other"]], judged_claims(frames)
    return (
        _environment()
        .get_template("report.html")
        .render(
            sweep=frames.name,
            study=frames.study,
            facts=_facts(frames),
            highlights=highlights(frames),
            **report_tables(frames),
            summary=summary(frames, claims),
            colours=group_colours(frames),
            by_topology=by_topology(frames),
            notes=front_notes(frames),
            resamples=RESAMPLES,
            attained=len(frames.study.objectives) == 2 and bool(seed_sets(frames)),
            papers=paper_views(frames),
            claims=claims,
            ran=run_facts(frames),
            raised=[fault for fault in frames.failures if fault.get("traceback")],
            figures=figures,
            figure_data={figure["id"]: figure["data"] for figure in names if figure["data"]},
            origin=origin_lines(frames),
            provenance=_pretty(frames.provenance),
            environment=_pretty(frames.environment),
            style=_template("report.css"),
            script=_template("report.js"),
            plotly=get_plotlyjs(),
        )
    )


def _template(name: str) -> str:
    return (resources.files("analysis") / "templates" / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    # Everything from the data is escaped; the page's own style and scripts are marked safe there.
    return Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    """Return what the page shows of a value: a text without control and bidirectional characters.

    The page's own parts stay as they are.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(one for one in value if one in "\n\t" or not category(one).startswith("C"))


def _facts(frames: SweepFrames) -> list[tuple[str, str]]:
    """Return what was swept, as name and value."""
    study, number = frames.study, counts(frames)
    seeds = study.seeds
    confirm = ", ".join(map(str, seeds.confirm)) or text.MISSING
    trials = f"{number['COMPLETE']} finished, {number['FAIL']} failed"
    if number["PRUNED"]:
        saved = text.plural(int(frames.metrics.get("epochs_saved", 0)), "epoch")
        trials += f", {number['PRUNED']} stopped early ({saved} saved)"
    facts = [("task", study.task)]
    facts += [(name.replace("_", " "), text.param(v)) for name, v in study.parameters.items()]
    facts += [
        ("trials", trials),
        ("wall time", text.duration(frames.wall_time_s)),
        ("sampler", study.search.sampler),
        ("early stopping", _stopping(study)),
        ("effort", effort_text(study.effort)),
        ("seeds", f"search {seeds.search}, trial {seeds.trial}, confirmation {confirm}"),
    ]
    if study.constraints:
        facts.append(("constraints", "; ".join(map(_constraint, study.constraints))))
    return facts


def run_facts(frames: SweepFrames) -> list[tuple[str, str]]:
    """Return what is known of how the sweep ran, as name and value."""
    numbers = frames.metrics
    measured = (
        ("slots busy once warm", layout.UTILISATION, "%"),
        ("slots busy in the whole search", layout.UTILISATION_WHOLE, "%"),
        ("processor time of finished trials", layout.TRIALS_CPU_S, "core s"),
        ("wall time of all trials, summed", layout.TRIALS_WALL_S, "s"),
    )
    facts = []
    for name, metric, unit in measured:
        if (value := numbers.get(metric)) is not None:
            shown = f"{100.0 * value:.1f}" if unit == "%" else text.number(value, 1)
            facts.append((name, text.with_unit(shown, unit)))
    kinds = Counter(spoken(str(row["failure"] or UNKNOWN)) for row in failed_rows(frames.trials))
    failed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "none"
    counted = {
        "interrupted trials": "trials_interrupted",
        "suggestions that were known already": "suggestions_repeated",
    }
    known = [(name, text.number(numbers[m])) for name, m in counted.items() if numbers.get(m)]
    return [*facts, ("failed trials", failed), *known]


def _stopping(study: Study) -> str:
    if study.stopping is None:
        return "none"
    shares = ", ".join(f"{100 * share:g} %" for share in study.stopping.rungs)
    return f"{study.stopping.kind}, 1 of {study.stopping.eta} goes on at {shares} of its training"


def _constraint(constraint: Any) -> str:
    low = "" if constraint.min is None else f"{text.number(constraint.min)} ≤ "
    high = "" if constraint.max is None else f" ≤ {text.number(constraint.max)}"
    return f"{low}{constraint.metric}{high}"


def _figures(frames: SweepFrames, found: Found) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of the two chapters, each with id, title, explanation and data."""
    objectives = frames.study.objectives
    if not len(frames.feasible):
        return {"front": [], "other": []}
    front = [
        _figure(f"front-{i}", f"{p.y.label} against {p.x.label}", front_figure(frames, p), "")
        for i, p in enumerate(pairs(objectives))
    ]
    if not front:
        title = f"{objectives[0].label} over the trials"
        front = [_figure("history", title, history_figure(frames), "")]
    other = [figure for figure in _of_the_search(frames) if figure["data"]]
    return {"front": front, "other": [*other, _importance(found())]}


def _of_the_search(frames: SweepFrames) -> Iterator[dict[str, Any]]:
    yield _figure(
        "effort",
        "What training buys",
        effort_figure(frames),
        "What each method has reached on validation with so much computation of the student's "
        "training, or less; diamonds are repetitions on the test split, with 95 % intervals. A "
        "teacher's own training is not in it.",
    )
    note = "Validation while they trained; a line ends with the value of the epoch that was kept."
    if len(frames.curves) == MOST_CURVES:
        note += f" The {MOST_CURVES} best members are drawn."
    yield _figure("curves", "How the front’s members learned", curves_figure(frames), note)
    corner = reference_text(frames)
    yield _figure(
        "hypervolume",
        "Hypervolume over trials",
        hypervolume_figure(frames),
        f"What the front dominates up to the reference point ({corner}), on validation values, in "
        f"{volume_unit(frames)}. A flat end means that further trials found nothing new.",
    )
    yield _figure(
        "hypervolume-cost",
        "Hypervolume over processor time",
        volume_cost_figure(frames),
        f"The same up to the same reference point ({corner}), over what finished trials cost, "
        "as they ended; what failed trials and those that were stopped early took is not in it.",
    )
    note = (
        "One line per trial; strong lines are on the front. Click a name in the legend to hide "
        "it. A line dips to “not used” at a parameter that a trial does not have. Objectives are "
        "validation values."
    )
    if len(frames.feasible) > MOST_LINES:
        note += f" Only the {MOST_LINES} best-ranked trials are drawn."
    yield _figure("parallel", "Parameters and objectives", parallel_figure(frames), note)


def _importance(found: Sequence[Importance]) -> dict[str, Any]:
    note = (
        "Permutation importance of a random forest (scikit-learn), measured on held-out trials in "
        f"5 folds; needs {FEWEST_TRIALS} finished trials. "
    )
    for importance in found:
        label = importance.objective.label
        if importance.note:
            note += f"{label}: {importance.note}. "
        else:
            explained = f"{100.0 * importance.explained:.0f} %"
            note += f"{label}: the model explains {explained} of the variance. "
    return _figure("importance", "Which parameters matter", importance_figure(found), note)


def _figure(name: str, title: str, figure: go.Figure | None, note: str) -> dict[str, Any]:
    # "<" would end the page's script element
    data = "" if figure is None else str(figure.to_json()).replace("<", "\\u003c")
    height = 0 if figure is None else int(figure.layout.height)
    return {"id": name, "title": title, "note": note.strip(), "data": data, "height": height}


def _pretty(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False, default=str) if facts else ""
