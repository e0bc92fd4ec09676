"""`kdsweep register`: exports the front's students and registers them as versions of a model."""

import shlex
from pathlib import Path

from analysis import format as text
from kdtasks.contract.errors import ConfigError
from search_spaces.errors import StudyError
from search_spaces.fields import duration_s
from sweeps.cli.export import EXPORT_DIR, note
from sweeps.cli.output import line, show_json
from sweeps.cli.sweeps import database_uri, known_uri
from sweeps.common.clock import SystemClock
from sweeps.export.export import Exporter
from sweeps.export.records import recording
from sweeps.export.registration import Member, Registration
from sweeps.export.selection import KNEE
from sweeps.ledger.paths import SweepFolder
from sweeps.progress.events import Display
from sweeps.tracking.read import sweep_frames

NONE = 1
"""Exit code when no member of the front could be registered."""


def run_register(
    folder: Path, tracking_uri: str | None, limit: int, time: str, *, as_json: bool
) -> int:
    """Register the front of a sweep and return the exit code."""
    seconds = _seconds(time)
    uri, sweep = database_uri(folder, tracking_uri), SweepFolder(folder)
    frames = sweep_frames(folder)
    found: list[Member] = []
    with recording(sweep, known_uri(folder, tracking_uri), note) as recorder:
        work = Registration(frames, folder / EXPORT_DIR, recorder, SystemClock())
        for member in work.run(Exporter(sweep, Display().data_progress), limit, seconds):
            same = next((m for m in found if m.reason and m.reason == member.reason), None)
            found.append(member)
            if not as_json:
                line(_line(member, same))
    made = [member for member in found if member.version]
    if as_json:
        facts = {"model": folder.name, "tracking_uri": uri}
        show_json({**facts, "members": found})
    elif made:
        example = f"@{KNEE}" if any(KNEE in member.aliases for member in made) else "/1"
        line(f"\nmodel:     {folder.name}, {text.plural(len(made), 'version')} of this front")
        line(f"MLflow:    {uri}")
        model = shlex.quote(f"models:/{folder.name}{example}")
        line(f"files:     mlflow artifacts download -u {model}")
    return 0 if made else NONE


def _seconds(time: str) -> float:
    try:
        return duration_s(time) or 0.0
    except StudyError as error:
        raise ConfigError(f"--time {time}: {error.problem}") from error


def _line(member: Member, same: Member | None) -> str:
    """Return the result of a member; a repeated reason refers to the first one."""
    named = f" ({', '.join(member.aliases)})" if member.aliases else ""
    if not member.version:
        reason = f"as trial {same.trial}" if same else member.reason
        return f"trial {member.trial}{named}: not registered: {reason}"
    latency = "" if member.latency_ms is None else f", {member.latency_ms:.3f} ms"
    return f"trial {member.trial}{named}: version {member.version}{latency}"
