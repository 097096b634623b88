"""What is kept of phone numbers. Decided at ingest: what is masked here is nowhere else."""

import hashlib
import re
from enum import StrEnum
from functools import lru_cache

_NUMBER = re.compile(r"^\+?[0-9*#()\-. ]{3,}$")


class NumberPrivacy(StrEnum):
    """How the user part of a SIP URI is stored."""

    MASK = "mask"
    HASH = "hash"
    NONE = "none"


def mask_user(user: str, privacy: NumberPrivacy, salt: bytes = b"") -> str:
    """Return the user part as it may be stored.

    MASK keeps the leading country or area digits and the last two; HASH gives a keyed 64-bit digest, so that
    one number stays recognisable without being readable (the salt must be secret for that to hold).

    >>> mask_user("+493012345678", NumberPrivacy.MASK)
    '+4930******78'
    >>> mask_user("alice", NumberPrivacy.MASK)
    'a****'
    """
    if privacy is NumberPrivacy.NONE or not user:
        return user
    if privacy is NumberPrivacy.HASH:
        return hashlib.blake2b(user.encode(), key=salt[:64], digest_size=8).hexdigest()
    if _NUMBER.match(user) is None:
        return user[0] + "*" * (len(user) - 1)
    if len(user) <= 6:
        return user[0] + "*" * (len(user) - 1)
    head = 5 if user.startswith("+") else 4
    head = min(head, len(user) - 4)
    return user[:head] + "*" * (len(user) - head - 2) + user[-2:]


@lru_cache(maxsize=4096)
def mask_uri(uri: str, privacy: NumberPrivacy, salt: bytes = b"") -> str:
    """Return a SIP or tel URI with its user part as it may be stored.

    >>> mask_uri("sip:+493012345678@carrier.example;user=phone", NumberPrivacy.MASK)
    'sip:+4930******78@carrier.example;user=phone'
    >>> mask_uri("tel:+493012345678", NumberPrivacy.MASK)
    'tel:+4930******78'
    """
    scheme, colon, rest = uri.partition(":")
    user, at, host = rest.rpartition("@")
    if at:
        return f"{scheme}{colon}{mask_user(user, privacy, salt)}{at}{host}"
    if scheme.lower() == "tel":
        number, semicolon, parameters = rest.partition(";")
        return f"{scheme}{colon}{mask_user(number, privacy, salt)}{semicolon}{parameters}"
    return uri


def destination_of(user: str, domain: str) -> str:
    """Return what a call went to, coarse enough to group by: the first digits of a number, else the domain.

    >>> destination_of("+493012345678", "carrier.example"), destination_of("bob", "corp.example")
    ('+49', 'corp.example')
    """
    digits = user.replace("-", "").replace(" ", "")
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if digits.startswith("+") and digits[1:].isdigit() and len(digits) > 7:
        return digits[:3]
    return domain.lower()
