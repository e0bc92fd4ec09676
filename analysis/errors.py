"""The one error of this package that is the user's to mend."""


class ResultsError(ValueError):
    """Results are missing, ambiguous or not what the study asks for; the message names the fix."""
