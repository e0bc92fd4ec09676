"""Everything that a paper takes from a sweep, as files in one folder."""

from pathlib import Path

import matplotlib as mpl

from analysis.errors import ResultsError
from analysis.frames import SweepFrames
from analysis.printed.figures import STYLE, sweep_figures
from analysis.printed.latex import latex
from analysis.printed.tables import markdown, sweep_tables

# dates and versions would make two files of the same sweep differ
_METADATA: dict[str, dict[str, str | None]] = {
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".png": {"Software": None},
}


def write_paper_files(frames: SweepFrames, folder: Path) -> list[Path]:
    """Write figures as PDF and PNG and tables as LaTeX and Markdown; return the files, sorted.

    The same sweep gives the same bytes.

    Raises:
        ResultsError: If the sweep has nothing to show yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE):
        for name, figure in sweep_figures(frames):
            for ending, metadata in _METADATA.items():
                path = folder / f"{name}{ending}"
                figure.savefig(path, metadata=metadata)
                written.append(path)
    for table in sweep_tables(frames):
        for ending, text in ((".tex", latex(table)), (".md", markdown(table))):
            path = folder / f"{table.name}{ending}"
            path.write_text(text, encoding="utf-8")
            written.append(path)
    if not written:
        raise ResultsError(f"sweep {frames.name} has no finished trial that its study allows")
    return sorted(written)
