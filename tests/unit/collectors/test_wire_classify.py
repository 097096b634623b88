"""What a captured payload is, by its first bytes."""

import pytest
from hep_support import DST, SRC, datagram
from hypothesis import given
from hypothesis import strategies as st

from collectors.wire.classify import Content, classify
from collectors.wire.hep import encode_hep1, encode_hep2


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (datagram(), Content.HEP),
        (b"EEP1" + datagram()[4:], Content.HEP),
        (encode_hep1(b"SIP/2.0 200 OK", src=SRC, dst=DST), Content.HEP),
        (encode_hep2(b"SIP/2.0 200 OK", src=SRC, dst=DST, captured_ns=0), Content.HEP),
        (b"INVITE sip:a@b SIP/2.0\r\n", Content.SIP),
        (b"SIP/2.0 200 OK\r\n", Content.SIP),
        (b"MESSAGE SIPS:a@b SIP/2.0\r\n", Content.SIP),
        (b"INVITE tel:+49301234 SIP/2.0\r\n", Content.SIP),
        (b"REGISTER pbx SIP/2.0\r\n", Content.SIP),
        (b"GET / HTTP/1.1\r\n", Content.OTHER),
        (b"\r\n\r\n", Content.OTHER),
        (b"", Content.OTHER),
        (b"\x80", Content.OTHER),
        (b"\x80\x00" + bytes(10), Content.RTP),
        (b"\x90\xe0" + bytes(10), Content.RTP),  # marker bit and payload type 96
        (b"\x80\x00" + bytes(9), Content.OTHER),
        (b"\x80\xc8\x00\x06" + bytes(24), Content.RTCP),
        (b"\x81\xc9\x00\x07" + bytes(28) + b"\x81\xca\x00\x02" + bytes(8), Content.RTCP),
        (b"\x80\xc8\x00\x06" + bytes(23), Content.OTHER),  # runs over the end
        (b"\x80\xc9\x00\x00", Content.OTHER),
        (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), Content.OTHER),  # STUN
        (b"\x01\x00\x00\x00", Content.OTHER),
    ],
)
def test_content(data: bytes, expected: Content) -> None:
    assert expected == classify(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_something(data: bytes) -> None:
    assert classify(data) in Content
