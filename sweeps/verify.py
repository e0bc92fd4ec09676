"""Check that ledger, MLflow and front say the same."""

from pathlib import Path


def verify_sweep(folder: Path, tracking_uri: str | None = None) -> list[str]:
    """Return every difference between the ledger, MLflow and ``front.json``, one line each.

    Args:
        folder: The sweep's folder.
        tracking_uri: Where MLflow keeps its runs; None for the database in the folder.

    Returns:
        The differences; empty if everything agrees.

    Raises:
        UserError: If the folder is not that of a sweep.
    """
    raise NotImplementedError
