"""Find passwords, tokens and keys in addresses, so that they are neither shown nor stored."""

import re
from urllib.parse import unquote_plus

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://\S*")
"""An address in a text, up to the next white space: a secret may hold any other character."""

SECRET = re.compile(
    r"secret|pass(?!file)|pwd|token|(?<!ssl)(?<!ssl_)key|credential|sas|signature", re.IGNORECASE
)
"""Names of options that hold a secret; ``sslkey`` and ``passfile`` name files."""

NAMED = re.compile(
    r"""(?ix) \b(?P<name> [\w-]* (?:passw(?:or)?d | secret | api[_-]?key | access[_-]?key
    | (?:auth|access|bearer)[_-]?token | authorization) [\w-]* ["']? \s* [:=] \s* )
    (?: (?:bearer|basic) \s+ )? (?: "[^"]*" | '[^']*' | [^\s"',;)}\]]+ )"""
)
"""A named secret in a text: ``password=...``, ``"api_key": "..."``."""

USERS_ARE_TOKENS = ("http", "https")
"""Schemes in which a user without a password is a token."""


def has_secret(uri: str) -> bool:
    """Return whether an address may hold a password, token or key; without a scheme it holds none.

    A secret may contain characters that should have been escaped: where it could continue after
    a slash, a question mark or a hash, it is assumed to.
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return False
    if any(SECRET.search(name) for name in re.findall(r"([^?&;#=]+)=", unquote_plus(rest))):
        return True
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not host:  # a path
        return False
    if scheme.lower() in USERS_ARE_TOKENS:
        return "@" in rest
    user, at, _ = host.rpartition("@")
    return ":" in user or (not at and ":" in host and "@" in rest)


def redacted(text: str) -> str:
    """Return a text without secrets; of addresses that hold one, only the scheme is kept."""
    return NAMED.sub(r"\g<name>...", ADDRESS.sub(_shown, text))


def _shown(found: re.Match[str]) -> str:
    address = found.group()
    return f"{address.partition('://')[0]}://..." if has_secret(address) else address
