"""Passwords of local users: argon2id hashes, made and checked; no password is kept or logged."""

import threading
from functools import cache

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

LEAST_CHARACTERS = 8
MOST_CHARACTERS = 1024
_AT_ONCE = threading.BoundedSemaphore(2)
"""A check takes 64 MiB and a tenth of a second: a crowd of them must not take the machine."""
_HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password, with its salt and parameters."""
    return _HASHER.hash(password)


def is_hash(text: str) -> bool:
    """Tell whether a text is an argon2 hash."""
    try:
        extract_parameters(text)
    except InvalidHashError:
        return False
    return True


def matches(password: str, password_hash: str | None) -> bool:
    """Check a password; for None (no such user) it takes as long, and is False."""
    if len(password) > MOST_CHARACTERS:
        return False
    with _AT_ONCE:
        try:
            return _HASHER.verify(password_hash or _nobodys(), password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _nobodys() -> str:
    return _HASHER.hash("the password of nobody")
