"""The package's one error that the user can fix."""


class ResultsError(ValueError):
    """Results are missing, ambiguous or not what the study asks for; the message names the fix."""
