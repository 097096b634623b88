"""Numbers are masked at ingest unless the configuration says otherwise."""

import pytest

from collectors.tracking.privacy import NumberPrivacy, destination_of, mask_user


@pytest.mark.parametrize(
    ("user", "masked"),
    [
        ("+493012345678", "+4930******78"),
        ("0301234567", "0301****67"),
        ("1001", "1***"),
        ("alice", "a****"),
        ("", ""),
    ],
)
def test_mask_hides_the_middle(user: str, masked: str) -> None:
    assert masked == mask_user(user, NumberPrivacy.MASK)


def test_hash_needs_the_salt_to_be_repeated() -> None:
    one = mask_user("+49301", NumberPrivacy.HASH, b"a")
    assert one == mask_user("+49301", NumberPrivacy.HASH, b"a")
    assert one != mask_user("+49301", NumberPrivacy.HASH, b"b")
    assert 16 == len(one)


def test_none_keeps_the_number() -> None:
    assert "+49301" == mask_user("+49301", NumberPrivacy.NONE)


@pytest.mark.parametrize(
    ("user", "domain", "destination"),
    [
        ("+4930123456", "x", "+49"),
        ("004930123456", "x", "+49"),
        ("1001", "Corp.Example", "corp.example"),
        ("", "d", "d"),
    ],
)
def test_destination_is_coarse(user: str, domain: str, destination: str) -> None:
    assert destination == destination_of(user, domain)
