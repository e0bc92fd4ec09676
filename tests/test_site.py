"""`make docs`: the site builds without a warning, and what is made from the code is on it."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from search_spaces.json_schema import json_schema
from sweeps.cli.main import app

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_site_has_every_command_and_every_field_of_a_study(tmp_path):
    pytest.importorskip("sphinx", reason="needs pip install .[docs]")
    strict = ("--quiet", "--fail-on-warning", "--keep-going", "--nitpicky")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *strict, str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    commands = (tmp_path / "reference" / "command-line.html").read_text()
    for name, command in typer.main.get_command(app).commands.items():
        assert f'id="kdsweep-{name}"' in commands
        options = {word for param in command.params for word in param.opts if word[0] == "-"}
        assert {option for option in options if option not in commands} == set()
    study, schema = (tmp_path / "reference" / "study.html").read_text(), json_schema()
    for part in (schema, *schema["$defs"].values()):
        for field in part.get("properties", {}):
            assert f">{field}<" in study
