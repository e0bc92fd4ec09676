"""Errors that are the user's to mend: each message names the file, the field and the fix."""


class UserError(ValueError):
    """Base of every error whose message alone is enough to know what to change."""


class ConfigError(UserError):
    """A parameter is unknown, missing, of the wrong type or out of range."""


class DataError(UserError):
    """A data file is missing, damaged, of the wrong layout or holds impossible numbers."""
