"""`kdsweep data inspect` for files of channels."""

from pathlib import Path

from analysis.format import plural
from kdtasks.contract.errors import ConfigError
from kdtasks.csi_feedback.data import channel_inspect
from kdtasks.csi_feedback.data.channel_inspect import ChannelInspection
from sweeps.cli.output import line, show_json

SHOWN = 8
"""Most files, and variables of a file, that are listed; ``--json`` lists all."""


def inspect_channels(path: Path, sensors: str | None, *, as_json: bool) -> bool:
    """Inspect channels and print their content; return whether they can be trained on.

    Raises:
        ConfigError: If sensors are given.
        DataError: See `channel_inspect.inspect_channels`.
    """
    if sensors is not None:
        raise ConfigError(
            f"--sensors={sensors}: {path} holds channels and no sensors; leave it out"
        )
    found = channel_inspect.inspect_channels(path)
    if as_json:
        show_json(found.as_dict())
    else:
        _show(found)
    return not found.problem


def _show(found: ChannelInspection) -> None:
    """Print files, sizes, defects, and the command that trains on them."""
    _show_files(found)
    line()
    if found.users:
        _show_sizes(found)
    for remark in found.remarks:
        line(remark)
    if found.antennas and (found.silent or found.not_finite):
        line("parameters.data_drop=true leaves useless samples out and counts them")
    line(f"cannot be trained on: {found.problem}" if found.problem else "can be trained on:")
    if found.command:
        line(found.command)


def _show_files(found: ChannelInspection) -> None:
    for name, held in list(found.files.items())[:SHOWN]:
        more = f" and {len(held) - SHOWN} more, see --json" if len(held) > SHOWN else ""
        line(f"{name}: {', '.join(held[:SHOWN]) or 'nothing'}{more}")
    if len(found.files) > SHOWN:
        line(f"and {len(found.files) - SHOWN} more files, see --json")
    if found.skipped:
        line(f"without channels, not read: {', '.join(found.skipped[:SHOWN])}")


def _show_sizes(found: ChannelInspection) -> None:
    receive = f" with {found.receive} receive antennas each" if found.receive > 1 else ""
    line(f"{plural(found.users, 'user')}{receive}")
    if found.antennas:
        line(f"{plural(found.antennas, 'antenna')}, {plural(found.subcarriers, 'subcarrier')}")
    searched = "" if found.searched == found.users * found.receive else ", of those searched"
    line(
        f"of {found.searched} samples{searched}: {found.silent} without a path (all zero), "
        f"{found.not_finite} not finite"
    )
