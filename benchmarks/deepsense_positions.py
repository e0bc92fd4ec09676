"""Writes study ``beam-gps`` for several DeepSense 6G scenarios, as one study with a table for each.

    python benchmarks/deepsense_positions.py STUDY.yaml FOLDER [FOLDER ...]
    kdsweep run STUDY.yaml

FOLDER is that of a scenario of which powers and positions are there. Every scenario has the points
and the claims of ``beam-gps``; Holm's correction is over the claims of its table. Run again with
more folders behind the first ones, the study extends a sweep of its name.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

from kdtasks.contract.registry import load_task
from search_spaces.study import load_study
from search_spaces.study_yaml import dump_yaml, load_yaml

STUDY = "beam-gps"


def study_of(name: str, folders: list[Path]) -> dict[str, Any]:
    """Return the study of all folders."""
    text = load_study(STUDY).text
    one = load_yaml(text, STUDY)
    own = load_task(one["task"]).own_data(folders[0], one["parameters"])
    study = {**one, "name": name, "search": {**one["search"], "points": []}}
    study["parameters"] = {n: v for n, v in one["parameters"].items() if n not in own.idle}
    study["parameters"]["scenario"] = "deepsense"
    study["report"] = {"tables": [], "claims": []}
    for folder in folders:
        path = {"data_path": str(folder.resolve())}
        study["search"]["points"] += [{**point, **path} for point in one["search"]["points"]]
        report = _renamed(copy.deepcopy(one["report"]), folder.name, path)
        for part in ("tables", "claims"):
            study["report"][part] += report[part]
    return study


def _renamed(report: dict[str, Any], scenario: str, path: dict[str, str]) -> dict[str, Any]:
    """Return tables and claims whose names and runs are those of a scenario."""
    for table in report["tables"]:
        table |= {"id": scenario, "title": f"{scenario}: {table['title']}"}
        for row in table["rows"]:
            row |= {"id": f"{row['id']}-{scenario}", "match": {**row["match"], **path}}
    for claim in report["claims"]:
        order = [f"{row}-{scenario}" for row in claim["order"]]
        claim |= {"id": f"{claim['id']}-{scenario}", "order": order}
        claim["text"] = f"{scenario}: {claim['text']}"
    return report


def main() -> None:
    """Write the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, metavar="STUDY.yaml")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    study = study_of(arguments.study.stem, arguments.folders)
    arguments.study.write_text(dump_yaml(study), encoding="utf-8")
    print(f"{arguments.study}: {len(study['search']['points'])} trials")


if __name__ == "__main__":
    main()
