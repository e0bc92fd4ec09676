"""Sizes of beam-tracking trials by name."""

from kdtasks.contract.params import Value

PRESETS: dict[str, dict[str, Value]] = {
    # Nguyen et al., section IV: as many sequences as scenario 9 has for training, tests apart.
    "paper": {
        "image_size": 224,
        "train_passages": 95,
        "val_passages": 20,
        "test_passages": 100,
        "window_stride": 1,
        "epochs": 100,
        "learning_rate": 1e-3,
        "batch_chunks": 8,
        "teacher_epochs": 90,
        "teacher_rate": 1e-3,
        "teacher_decay": 1e-4,
        "edge_epochs": 20,
        "edge_rate": 1e-3,
    },
    "standard": {
        "image_size": 64,
        "train_passages": 200,
        "val_passages": 100,
        "test_passages": 200,
        "window_stride": 2,
        "epochs": 30,
        "learning_rate": 2e-3,
        "batch_chunks": 8,
        "teacher_epochs": 40,
        "teacher_rate": 2e-3,
        "teacher_decay": 0.0,
        "edge_epochs": 6,
        "edge_rate": 1e-3,
    },
    "quick": {
        "image_size": 64,
        "train_passages": 100,
        "val_passages": 60,
        "test_passages": 100,
        "window_stride": 2,
        "epochs": 20,
        "learning_rate": 2e-3,
        "batch_chunks": 8,
        "teacher_epochs": 40,
        "teacher_rate": 2e-3,
        "teacher_decay": 0.0,
        "edge_epochs": 6,
        "edge_rate": 1e-3,
    },
}

OF_STREET = (
    "data_seed",
    "night_share",
    "rain_share",
    "distractors",
    "train_passages",
    "val_passages",
    "test_passages",
    "teacher_passages",
)
"""Parameters of the synthetic street."""
