"""What a record says of the data."""

import json

import numpy as np

from kdtasks.contract.task import ScenarioData
from sweeps.ledger.identity import content_of
from sweeps.tracking.data_inputs import data_inputs


def test_every_split_has_its_counts_and_a_digest_of_its_arrays() -> None:
    made = ScenarioData(
        train={"scan": np.zeros((7, 2, 3), np.float32), "label": np.zeros(7, np.int64)},
        val={"scan": np.zeros((4, 2, 3), np.float32)},
        test={"scan": np.zeros((5, 2, 3), np.float32), "codebook": np.zeros((2, 9), np.complex64)},
        provenance={"source": "a street", "seed": 3, "settings": {"much": [1, 2]}},
    )
    content = content_of(made)
    inputs = data_inputs("lidar-beam", "0123456789abcdef", made, content)
    facts = {one.tags[0].value: one.dataset for one in inputs}
    rows = {context: json.loads(split.profile)["num_rows"] for context, split in facts.items()}
    assert rows == {"train": 7, "validation": 4, "test": 5}
    assert len({split.name for split in facts.values()}) == 3
    assert len({split.digest for split in facts.values()}) == 3
    for split in facts.values():
        assert len(split.digest) == 16
        tags = json.loads(split.source)["tags"]
        assert tags == {"source": "a street", "seed": "3", "fingerprint": "0123456789abcdef"}
    tensors = json.loads(json.loads(facts["train"].schema)["mlflow_tensorspec"]["features"])
    assert {t["name"]: t["tensor-spec"] for t in tensors} == {
        "scan": {"dtype": "float32", "shape": [-1, 2, 3]},
        "label": {"dtype": "int64", "shape": [-1]},
    }
    size = json.loads(facts["train"].profile)["nbytes"]
    assert size == sum(array.nbytes for array in made.train.values())
