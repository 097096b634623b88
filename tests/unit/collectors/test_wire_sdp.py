"""Session descriptions: addresses, codecs, hold and refusal; bad lines are counted, never raised."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sip_batches import hep_sip, pcap_sip

from collectors.facts import Codec
from collectors.wire.sdp import MediaLine, find_sdp, parse_sdp
from collectors.wire.sip import SipMessage, parse_message
from telephony.model import Endpoint

HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def only(body: bytes) -> MediaLine:
    description = parse_sdp(body)
    assert (1, 0) == (len(description.media), description.bad_lines)
    return description.media[0]


def test_reads_an_audio_line() -> None:
    line = only(
        HEAD + b"m=audio 40000 RTP/AVP 8 96 101\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
        b"a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendonly\r\n"
    )
    expected = MediaLine(
        "audio",
        "RTP/AVP",
        Endpoint("192.0.2.1", 40000),
        Endpoint("192.0.2.1", 40001),
        {
            8: Codec("PCMA", 8000),
            96: Codec("OPUS", 48000, 2, "useinbandfec=1"),
            101: Codec("TELEPHONE-EVENT", 8000),
        },
        20,
        "sendonly",
    )
    assert expected == line._replace(codecs=dict(line.codecs))


def test_keeps_the_order_of_preference() -> None:
    assert [18, 0, 9] == list(only(HEAD + b"m=audio 4 RTP/AVP 18 0 9\n").codecs)


def test_an_rtpmap_goes_before_the_static_type() -> None:
    line = only(HEAD + b"m=audio 4 RTP/AVP 0\na=rtpmap:0 G729/8000\n")
    assert {0: Codec("G729", 8000)} == dict(line.codecs)


def test_leaves_out_dynamic_types_that_nothing_names() -> None:
    assert {8: Codec("PCMA", 8000)} == dict(only(HEAD + b"m=audio 4 RTP/AVP 97 8\n").codecs)


@pytest.mark.parametrize(
    ("attributes", "rtcp"),
    [
        (b"", Endpoint("192.0.2.1", 40001)),
        (b"a=rtcp:50000\r\n", Endpoint("192.0.2.1", 50000)),
        (b"a=rtcp:50000 IN IP4 192.0.2.7\r\n", Endpoint("192.0.2.7", 50000)),
        (b"a=rtcp:50000 IN IP6 2001:DB8::7", Endpoint("2001:db8::7", 50000)),
        (b"a=rtcp-mux\r\n", Endpoint("192.0.2.1", 40000)),
        (b"a=rtcp-mux\r\na=rtcp:50000\r\n", Endpoint("192.0.2.1", 50000)),
        (b"a=rtcp-fb:* nack\r\n", Endpoint("192.0.2.1", 40001)),
    ],
)
def test_finds_where_rtcp_goes(attributes: bytes, rtcp: Endpoint) -> None:
    assert rtcp == only(HEAD + b"m=audio 40000 RTP/AVP 8\r\n" + attributes).rtcp


@pytest.mark.parametrize(
    ("head", "attributes", "direction"),
    [
        (b"", b"", "sendrecv"),
        (b"a=inactive\r\n", b"", "inactive"),
        (b"a=inactive\r\n", b"a=recvonly\r\n", "recvonly"),
        (b"", b"c=IN IP4 0.0.0.0\r\n", "sendonly"),
        (b"", b"c=IN IP6 ::\r\na=recvonly\r\n", "inactive"),
        (b"", b"c=IN IP4 0.0.0.0\r\na=inactive\r\n", "inactive"),
    ],
)
def test_reads_hold(head: bytes, attributes: bytes, direction: str) -> None:
    assert direction == only(HEAD + head + b"m=audio 40000 RTP/AVP 8\r\n" + attributes).sendrecv


def test_media_addresses_go_before_that_of_the_session() -> None:
    body = HEAD + b"m=audio 1000 RTP/AVP 8\nm=video 2000 RTP/AVP 99\nc=IN IP6 2001:DB8::2\nm=image 0 udptl t38\n"
    media = parse_sdp(body).media
    assert [
        ("audio", Endpoint("192.0.2.1", 1000), False),
        ("video", Endpoint("2001:db8::2", 2000), False),
        ("image", Endpoint("192.0.2.1", 0), True),
    ] == [(line.media, line.endpoint, line.rejected) for line in media]


@pytest.mark.parametrize(
    ("body", "bad_lines"),
    [
        (b"", 0),
        (b"\r\n\r\n", 0),
        (b"hello\r\n", 1),
        (HEAD + b"m=audio\r\n", 1),
        (HEAD + b"m=audio x RTP/AVP 8\r\n", 1),
        (HEAD + b"m=audio 70000 RTP/AVP 8\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\na=ptime:x\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\na=ptime:nan\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\na=rtpmap:8\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\na=rtpmap:900 X/8000\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\na=rtpmap:8 PCMA/x\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\na=rtcp:x\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\na=sendsometimes\r\n", 1),
        (HEAD + b"c=IN IP9 x\r\nm=audio 4 RTP/AVP 8\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\ngarbage\r\n", 1),
        (HEAD + b"m=audio 4 RTP/AVP 8\r\n" * 1 + b"m=x 1 y\r\n" * 40, 9),
    ],
)
def test_counts_bad_lines(body: bytes, bad_lines: int) -> None:
    assert bad_lines == parse_sdp(body).bad_lines


def test_lines_below_a_bad_media_line_change_no_other() -> None:
    description = parse_sdp(HEAD + b"m=audio 4 RTP/AVP 8\r\nm=audio x\r\na=inactive\r\n")
    assert ["sendrecv"] == [line.sendrecv for line in description.media]


def test_a_description_that_starts_with_a_media_line() -> None:
    assert Endpoint("", 4) == only(b"m=audio 4/2 RTP/AVP 8\r\n").endpoint


@pytest.mark.parametrize(
    "content_type",
    ["multipart/mixed;boundary=cut", 'multipart/mixed; x=y; Boundary="cut"', "multipart/mixed"],
)
def test_finds_the_sdp_part(content_type: str) -> None:
    body = (
        b"--cut\r\nContent-Type: application/isup\r\n\r\n\x01\x02\r\n"
        b"--cut\r\ncontent-type: Application/SDP\r\n\r\nv=0\r\n\r\n--cut--\r\n"
    )
    assert b"v=0\r\n\r\n" == find_sdp(content_type, body)


@pytest.mark.parametrize("body", [b"", b"--", b"--cut", b"--cut\r\n\r\nv=0", b"no parts at all"])
def test_finds_no_sdp_part_where_there_is_none(body: bytes) -> None:
    assert find_sdp("multipart/mixed;boundary=cut", body) is None


@given(st.binary(max_size=300))
def test_bytes_never_break_it(body: bytes) -> None:
    parse_sdp(body)
    parse_sdp(HEAD + b"m=audio 4 RTP/AVP 8\n" + body)
    find_sdp("multipart/mixed", body)


@given(st.lists(st.sampled_from("acmov=:/ 0189\r\nINP4.audiortpfmpxRTVA-"), max_size=200))
def test_sdp_like_text_never_breaks_it(characters: list[str]) -> None:
    parse_sdp(HEAD + "".join(characters).encode())


@pytest.mark.captures
def test_reads_every_captured_description(captures: Path) -> None:
    datagrams = [d for path in sorted((captures / "hep").glob("*.hepbin")) for d in hep_sip(path)]
    for path in sorted((captures / "public").glob("*.pcap")):
        datagrams += pcap_sip(path)
    messages = [parse_message(d.payload) for d in datagrams]
    bodies = {m.body for m in messages if isinstance(m, SipMessage) and m.content_type == "application/sdp"}
    descriptions = [parse_sdp(body) for body in bodies if body]
    assert (True, 0, True) == (
        len(descriptions) > 60,
        sum(d.bad_lines for d in descriptions),
        all(line.endpoint.ip for d in descriptions for line in d.media),
    )
