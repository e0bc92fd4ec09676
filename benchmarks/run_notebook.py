"""Run the cells of a notebook in a fresh folder: ``run_notebook.py docs/notebook.ipynb [--write]``.

It takes the place of Jupyter, of which it knows ``%%writefile`` and that the last expression of a
cell is shown. ``--write`` puts what was shown into the file.
"""

import argparse
import ast
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any


def run_cell(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell; return its outputs as the file has them."""
    if source.startswith("%%writefile "):
        head, _, text = source.partition("\n")
        Path(head.split()[1]).write_text(text, encoding="utf-8")
        return []
    tree, shown, value = ast.parse(source), io.StringIO(), None
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(shown):
        exec(compile(tree, "<cell>", "exec"), names)  # noqa: S102 - our own notebook
        if isinstance(last, ast.Expr):
            code = compile(ast.Expression(last.value), "<cell>", "eval")
            value = eval(code, names)  # noqa: S307 - our own notebook
    found: list[dict[str, Any]] = []
    if shown.getvalue():
        found.append({"output_type": "stream", "name": "stdout", "text": lines(shown.getvalue())})
    if value is not None:
        data = {"text/plain": lines(repr(value))}
        if hasattr(value, "_repr_html_"):
            data = {"text/html": lines(value._repr_html_()), **data}
        found.append(
            {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": data}
        )
    return found


def lines(text: str) -> list[str]:
    """Return text as a notebook has it."""
    return text.splitlines(keepends=True)


def main() -> None:
    """Run a notebook."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--write", action="store_true", help="keep what was shown")
    options = parser.parse_args()
    path = options.notebook.resolve()
    content = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, "")
        cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        for number, cell in enumerate(cells, start=1):
            cell["outputs"] = run_cell("".join(cell["source"]), names)
            cell["execution_count"] = number
            for output in cell["outputs"]:
                if "execution_count" in output:
                    output["execution_count"] = number
                print(*output.get("data", output).get("text/plain", output.get("text", [])), sep="")
    if options.write:
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
