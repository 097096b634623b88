"""HEP datagrams to rows: the kernel against a second, obvious parser and against real senders' bytes."""

import gzip
import json
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hep_support import AT_NS, DST, RECEIVED_NS, SRC, GuardedMemory, datagram, parse, text
from hypothesis import given
from hypothesis import strategies as st

from collectors.facts import DATAGRAM, Payload, format_ip
from collectors.wire.hep import HepError, HepParser, encode_hep1, encode_hep2, encode_hep3
from collectors.wire.hep.parser import inflate
from telephony.model import Endpoint

MAPPED = bytes(10) + b"\xff\xff"


def chunk(kind: int, value: bytes, vendor: int = 0) -> bytes:
    return struct.pack("!HHH", vendor, kind, 6 + len(value)) + value


def hep3(*chunks: bytes, magic: bytes = b"HEP3", total: int | None = None) -> bytes:
    body = b"".join(chunks)
    return magic + struct.pack("!H", 6 + len(body) if total is None else total) + body


ADDRESSES = chunk(3, bytes([192, 0, 2, 1])) + chunk(4, bytes([192, 0, 2, 2]))
TIME = chunk(9, struct.pack("!I", 1_700_000_000)) + chunk(10, struct.pack("!I", 5))
PAYLOAD = chunk(0x0F, b"OPTIONS")


@dataclass
class Obvious:
    """What a slow parser written from the specification makes of a HEP3 datagram."""

    error: HepError | None = None
    values: dict[str, object] = field(default_factory=dict)


def obvious_hep3(data: bytes) -> Obvious:
    """Parse a HEP3 datagram one chunk after the other, into a dict."""
    if len(data) < 4:
        return Obvious(HepError.TRUNCATED)
    if data[:4] not in (b"HEP3", b"EEP3", b"EEP1"):
        return Obvious(HepError.BAD_MAGIC)
    if len(data) < 6:
        return Obvious(HepError.TRUNCATED)
    total = int.from_bytes(data[4:6], "big")
    if total < 6:
        return Obvious(HepError.BAD_LENGTH)
    short = total > len(data)
    data = data[:total]
    chunks: dict[int, bytes] = {}
    addresses: dict[str, bytes] = {}
    sizes = {2: 1, 7: 2, 8: 2, 9: 4, 10: 4, 11: 1, 12: 4}
    at = 6
    while at < len(data):
        head = data[at : at + 6]
        if len(head) < 6:
            return Obvious(HepError.TRUNCATED if short else HepError.CHUNK_LENGTH)
        vendor, kind, length = struct.unpack("!HHH", head)
        if length < 6:
            return Obvious(HepError.CHUNK_LENGTH)
        value = data[at + 6 : at + length]
        if len(value) != length - 6:
            return Obvious(HepError.TRUNCATED if short else HepError.CHUNK_LENGTH)
        at += length
        if vendor:
            continue
        if kind in sizes and len(value) != sizes[kind]:
            return Obvious(HepError.CHUNK_LENGTH)
        if kind in (3, 4, 5, 6):
            if len(value) not in ((4, 16) if kind < 5 else (16,)):
                return Obvious(HepError.CHUNK_LENGTH)
            addresses["dst_ip" if kind % 2 == 0 else "src_ip"] = value if len(value) == 16 else MAPPED + value
        chunks[kind] = value
    payload = chunks.get(0x0F, b"")
    packed = b"" if payload else chunks.get(0x10, b"")
    if not payload and not packed:
        return Obvious(HepError.TRUNCATED if short else HepError.NO_PAYLOAD)
    if len(addresses) < 2:
        return Obvious(HepError.NO_ADDRESSES)
    seconds, microseconds = (int.from_bytes(chunks.get(kind, b""), "big") for kind in (9, 10))
    if microseconds >= 1_000_000:
        return Obvious(HepError.BAD_TIMESTAMP)
    if packed:
        inflated = inflate(packed, 65_536)
        if isinstance(inflated, HepError):
            return Obvious(inflated)
        payload = inflated
    numbers = {"src_port": 7, "dst_port": 8, "payload_type": 11, "ip_proto": 2, "node_id": 12}
    return Obvious(
        values={
            **addresses,
            **{name: int.from_bytes(chunks.get(kind, b""), "big") for name, kind in numbers.items()},
            "captured_ns": seconds * 10**9 + microseconds * 1000 if seconds else RECEIVED_NS,
            "payload": payload,
            "correlation": chunks.get(0x11, b""),
            "node_name": chunks.get(0x13, b""),
            "auth_key": chunks.get(0x0E, b""),
        }
    )


def kernel_hep3(data: bytes) -> Obvious:
    """Return what the product makes of a datagram, in the shape of the obvious parser's answer."""
    parser = HepParser()
    batch = parse(parser, [data])
    if not len(batch.rows):
        (label,) = parser.errors
        return Obvious(HepError[label.upper()])
    row = batch.rows[0]
    names = ("src_port", "dst_port", "payload_type", "ip_proto", "node_id", "captured_ns")
    return Obvious(
        values={
            **{name: row[name].tobytes() for name in ("src_ip", "dst_ip")},
            **{name: int(row[name]) for name in names},
            **{name: text(batch, 0, name) for name in ("payload", "correlation", "node_name", "auth_key")},
        }
    )


SIZED = {1: 1, 2: 1, 3: 4, 4: 4, 5: 16, 6: 16, 7: 2, 8: 2, 9: 4, 10: 4, 11: 1, 12: 4}


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """A chunk, mostly of the right size, sometimes of another vendor, sometimes with a wrong length."""
    kind = draw(st.one_of(st.integers(0, 0x20), st.integers(0, 0xFFFF)))
    if kind in SIZED and draw(st.integers(0, 9)):
        size = SIZED[kind]
        value = draw(st.binary(min_size=size, max_size=size))
        if kind == 10:
            value = b"\0" + value[1:]
    elif kind == 0x10:
        value = zlib.compress(draw(st.binary(max_size=40)))
    else:
        value = draw(st.binary(max_size=40))
    made = chunk(kind, value, draw(st.sampled_from([0] * 9 + [1, 0xFFFF])))
    if draw(st.integers(0, 30)) == 0:
        made = made[:4] + draw(st.binary(min_size=2, max_size=2)) + made[6:]
    return made


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """A HEP3 datagram of whatever chunks, often complete enough to be accepted, sometimes cut or mutated."""
    parts = draw(st.lists(chunks(), max_size=12))
    if draw(st.booleans()):
        parts = draw(st.permutations([*parts, ADDRESSES, TIME, PAYLOAD]))
    made = hep3(*parts, magic=draw(st.sampled_from([b"HEP3"] * 8 + [b"EEP3", b"EEP1"])))
    if draw(st.integers(0, 5)) == 0:
        made = made[: draw(st.integers(0, len(made)))]
    if made and draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(made) - 1))
        made = made[:at] + draw(st.binary(min_size=1, max_size=1)) + made[at + 1 :]
    return made


@given(datagrams())
def test_the_kernel_agrees_with_the_obvious_parser(data: bytes) -> None:
    # a mutated first byte may make it HEP 1 or 2, which the obvious parser does not know
    if data[:1] not in (b"\x01", b"\x02"):
        assert obvious_hep3(data) == kernel_hep3(data)


_GUARDED = GuardedMemory()


@given(st.one_of(datagrams(), st.binary(max_size=200), st.builds(lambda b: b"\x02\x10\x02" + b, st.binary())))
def test_nothing_outside_the_datagram_is_read_and_rows_stay_inside(data: bytes) -> None:
    buffer = _GUARDED.hold(data)
    batch = HepParser().parse(buffer, np.zeros(1, np.uint32), np.array([len(data)], np.uint32), RECEIVED_NS)
    for row in batch.rows:
        for name in ("payload", "correlation", "node_name", "auth_key"):
            assert int(row[f"{name}_at"]) + int(row[f"{name}_len"]) <= len(batch.buffer)


@given(st.lists(datagrams(), max_size=8))
def test_every_datagram_is_either_accepted_or_counted(batch: list[bytes]) -> None:
    parser = HepParser()
    rows = parse(parser, batch).rows
    assert len(batch) == len(rows) + sum(parser.errors.values())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"HEP", "truncated"),
        (b"HEP3", "truncated"),
        (b"HEP4\0\x06", "bad_magic"),
        (b"GET / HTTP/1.0\r\n", "bad_magic"),
        (hep3(total=5), "bad_length"),
        (hep3(ADDRESSES, TIME, PAYLOAD)[:-1], "truncated"),
        (hep3(ADDRESSES, TIME, PAYLOAD)[:-10], "truncated"),
        (hep3(ADDRESSES, TIME, struct.pack("!HHH", 0, 0x0F, 0)), "chunk_length"),
        (hep3(ADDRESSES, TIME, struct.pack("!HHH", 0, 0x0F, 5)), "chunk_length"),
        (hep3(ADDRESSES, TIME, PAYLOAD, b"\0\0\0"), "chunk_length"),
        (hep3(ADDRESSES, TIME, PAYLOAD, chunk(0x0C, b"\0")), "chunk_length"),
        (hep3(chunk(3, bytes(5)), ADDRESSES, PAYLOAD), "chunk_length"),
        (hep3(chunk(5, bytes(4)), ADDRESSES, PAYLOAD), "chunk_length"),
        (hep3(ADDRESSES, TIME), "no_payload"),
        (hep3(ADDRESSES, TIME, chunk(0x0F, b"")), "no_payload"),
        (hep3(TIME, PAYLOAD), "no_addresses"),
        (hep3(chunk(3, bytes(4)), TIME, PAYLOAD), "no_addresses"),
        (hep3(ADDRESSES, chunk(10, struct.pack("!I", 1_000_000)), PAYLOAD), "bad_timestamp"),
        (hep3(ADDRESSES, TIME, chunk(0x10, b"\x78\x9cgarbage")), "inflate_failed"),
        (b"\x01\x10\x02\x11", "truncated"),
        (b"\x01\x10\x63\x11" + bytes(20), "bad_family"),
        (b"\x01\x11\x02\x11" + bytes(20), "bad_length"),
        (encode_hep1(b"", src=SRC, dst=DST), "no_payload"),
        (encode_hep2(b"X", src=SRC, dst=DST, captured_ns=AT_NS)[:20], "truncated"),
    ],
)
def test_a_malformed_datagram_is_counted_by_reason(data: bytes, reason: str) -> None:
    parser = HepParser()
    parse(parser, [data])
    assert {reason: 1} == dict(parser.errors)


@pytest.mark.parametrize(
    "data",
    [
        hep3(PAYLOAD, TIME, ADDRESSES),
        hep3(ADDRESSES, TIME, PAYLOAD, magic=b"EEP3"),
        hep3(ADDRESSES, TIME, PAYLOAD, magic=b"EEP1"),
        hep3(chunk(0x7777, b"?" * 300), ADDRESSES, TIME, PAYLOAD),
        hep3(ADDRESSES, TIME, PAYLOAD, chunk(0x0F, b"not generic", vendor=2)),
        hep3(ADDRESSES, TIME, PAYLOAD, chunk(0x12, b"\0\x64")),
        hep3(ADDRESSES, TIME, PAYLOAD) + b"trailing bytes",
        hep3(ADDRESSES, TIME, PAYLOAD, total=544),
    ],
)
def test_order_unknown_chunks_vendors_and_sloppy_totals_do_not_matter(data: bytes) -> None:
    batch = parse(HepParser(), [data])
    assert [b"OPTIONS"] == [text(batch, row, "payload") for row in range(len(batch.rows))]


def test_a_datagram_without_a_time_gets_that_of_its_receipt() -> None:
    batch = parse(HepParser(), [hep3(ADDRESSES, PAYLOAD)])
    assert [RECEIVED_NS] == batch.rows["captured_ns"].tolist()


def test_hep1_gets_the_time_of_its_receipt() -> None:
    batch = parse(HepParser(), [encode_hep1(b"SIP/2.0 200 OK", src=SRC, dst=DST)])
    assert [RECEIVED_NS] == batch.rows["captured_ns"].tolist()


@pytest.mark.parametrize("family", [10, 24, 28, 30])
def test_hep2_takes_the_inet6_family_of_any_sender(family: int) -> None:
    made = bytearray(
        encode_hep2(b"X", src=Endpoint("2001:db8::1", 1), dst=Endpoint("2001:db8::2", 2), captured_ns=AT_NS)
    )
    made[2] = family
    batch = parse(HepParser(), [bytes(made)])
    assert ["2001:db8::1"] == [format_ip(row["src_ip"].tobytes()) for row in batch.rows]


# --- real senders' bytes --------------------------------------------------------------------------------


def vector(captures: Path, name: str) -> bytes:
    return (captures / "vectors" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "captured_ns", "src", "dst", "node_id", "start"),
    [
        ("hep1_sip.bin", RECEIVED_NS, "10.0.1.100:5060", "192.168.0.254:5060", 0, b"SIP/2.0 200 OK\r\n"),
        ("hep3_sip.bin", 1520606104119540000, "192.168.247.250:5060", "192.168.245.250:5060", 0, b"SIP/2.0 200"),
        ("sip3_packet_1.bin", 1571254062044436000, "10.0.0.4:5060", "10.0.0.4:5062", 1, b"SIP/2.0"),
        ("sip3_packet_2.bin", 1550492760263774000, "79.142.86.118:5063", "212.48.197.150:5060", 2004, b"NOTIFY"),
        (
            "sip3_packet_3.bin",
            1602657480066334000,
            "192.168.9.119:17969",
            "192.168.4.140:5005",
            2002,
            b'{"sender_',
        ),
    ],
)
def test_vectors_of_other_collectors(
    captures: Path, name: str, captured_ns: int, src: str, dst: str, node_id: int, start: bytes
) -> None:
    batch = parse(HepParser(), [vector(captures, name)])
    row = batch.rows[0]
    found = (
        int(row["captured_ns"]),
        f"{format_ip(row['src_ip'].tobytes())}:{row['src_port']}",
        f"{format_ip(row['dst_ip'].tobytes())}:{row['dst_port']}",
        int(row["node_id"]),
        text(batch, 0, "payload")[: len(start)],
    )
    assert (captured_ns, src, dst, node_id, start) == found


def test_an_rtcp_packet_is_no_hep(captures: Path) -> None:
    parser = HepParser()
    parse(parser, [vector(captures, "rtcp_xr_all_blocks.bin")])
    assert {"bad_magic": 1} == dict(parser.errors)


@given(cut=st.integers(0, 777))
def test_no_prefix_of_a_real_datagram_is_believed(captures: Path, cut: int) -> None:
    assert 0 == len(parse(HepParser(), [vector(captures, "hep3_sip.bin")[:cut]]).rows)


def recorded(captures: Path) -> list[bytes]:
    """Return a datagram of every kind that kamailio and rtpengine sent."""
    data = (captures / "hep" / "one_of_each.hepbin").read_bytes()
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


@given(choice=st.data())
def test_mutated_real_datagrams_are_parsed_as_the_obvious_parser_does(
    captures: Path, choice: st.DataObject
) -> None:
    data = bytearray(choice.draw(st.sampled_from(recorded(captures))))
    for _ in range(choice.draw(st.integers(1, 4))):
        data[choice.draw(st.integers(4, min(200, len(data) - 1)))] = choice.draw(st.integers(0, 255))
    assert obvious_hep3(bytes(data)) == kernel_hep3(bytes(data))


# --- compressed payloads --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["zlib", "gzip", "deflate"])
def test_a_compressed_payload_is_inflated_and_the_other_fields_still_point_right(how: str) -> None:
    payload = json.dumps({"ssrc": list(range(200))}).encode()
    plain = datagram(b"first", correlation_id="one", node_name="sbc-1", auth_key=b"k1")
    packed = datagram(payload, compress=how, correlation_id="two", node_name="sbc-2", auth_key=b"k2")
    batch = parse(HepParser(), [plain, b"garbage", packed, plain])
    names = ("payload", "correlation", "node_name", "auth_key")
    found = [tuple(text(batch, row, name) for name in names) for row in range(len(batch.rows))]
    first = (b"first", b"one", b"sbc-1", b"k1")
    assert [first, (payload, b"two", b"sbc-2", b"k2"), first] == found


def test_the_flag_of_a_compressed_payload_does_not_leak() -> None:
    batch = parse(HepParser(), [datagram(b"x" * 100, compress="zlib")])
    assert [0] == batch.rows["flags"].tolist()


def test_inflating_stops_at_the_cap() -> None:
    parser = HepParser(max_inflated_bytes=1000)
    parse(parser, [datagram(bytes(50_000_000), compress="gzip"), datagram(bytes(1000), compress="zlib")])
    assert (1, {"inflate_too_large": 1}) == (parser.accepted, dict(parser.errors))


def test_a_plain_payload_beats_a_compressed_one() -> None:
    batch = parse(HepParser(), [hep3(ADDRESSES, chunk(0x10, zlib.compress(b"packed")), PAYLOAD)])
    assert b"OPTIONS" == text(batch, 0, "payload")


@given(st.binary(max_size=300))
def test_inflating_garbage_never_raises(data: bytes) -> None:
    result = inflate(data, 100)
    assert isinstance(result, HepError) or 0 < len(result) <= 100


@pytest.mark.parametrize(
    "data", [zlib.compress(b"x" * 50)[:-4], gzip.compress(b"x" * 50, mtime=0)[:-9], b"", b"\x78"]
)
def test_a_cut_stream_is_refused(data: bytes) -> None:
    assert HepError.INFLATE_FAILED == inflate(data, 1000)


# --- authentication -------------------------------------------------------------------------------------


def sender(ip: str) -> bytes:
    return MAPPED + bytes(int(part) for part in ip.split("."))


def test_only_datagrams_with_a_known_key_pass() -> None:
    parser = HepParser({b"acme-key": "acme", b"other": "beta"}, require_auth=True)
    keys = [b"acme-key", b"", b"other", b"acme-kez", b"acme-key2", b"acme-ke", b"o" * 5]
    batch = parse(parser, [datagram(f"P{n}".encode(), auth_key=key) for n, key in enumerate(keys)])
    passed = [text(batch, row, "payload") for row in range(len(batch.rows))]
    assert ([b"P0", b"P2"], {"auth_missing": 1, "auth_refused": 4}) == (passed, dict(parser.errors))


def test_exempt_networks_need_no_key() -> None:
    parser = HepParser({b"k": "t"}, require_auth=True, auth_exempt_networks=["10.0.0.0/8", "2001:db8::/32"])
    senders = [sender("10.9.8.7"), sender("11.0.0.1"), bytes.fromhex("20010db8") + bytes(12), bytes(16)]
    batch = parse(parser, [datagram(f"P{n}".encode()) for n in range(4)], senders)
    assert [b"P0", b"P2"] == [text(batch, row, "payload") for row in range(len(batch.rows))]


def test_exemption_goes_by_the_sender_of_the_datagram_after_others_were_refused() -> None:
    parser = HepParser({b"k": "t"}, require_auth=True, auth_exempt_networks=["10.0.0.0/8"])
    batch = parse(parser, [b"garbage", datagram(b"P1")], [sender("192.0.2.1"), sender("10.0.0.1")])
    assert [b"P1"] == [text(batch, row, "payload") for row in range(len(batch.rows))]


def test_an_unknown_sender_is_not_exempt() -> None:
    parser = HepParser({b"k": "t"}, require_auth=True, auth_exempt_networks=["0.0.0.0/0"])
    assert 0 == len(parse(parser, [datagram(b"P")]).rows)


def test_keys_are_not_looked_at_unless_required() -> None:
    assert 1 == len(parse(HepParser({b"k": "t"}), [datagram(b"P", auth_key=b"wrong")]).rows)


@given(st.sets(st.binary(min_size=1, max_size=40), min_size=1, max_size=60), st.binary(max_size=40))
def test_a_key_passes_exactly_where_it_is_configured(keys: set[bytes], tried: bytes) -> None:
    parser = HepParser(dict.fromkeys(keys, "tenant"), require_auth=True)
    assert int(tried in keys) == len(parse(parser, [datagram(auth_key=tried)]).rows)


# --- encoding -------------------------------------------------------------------------------------------

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(
    payload=st.binary(min_size=1, max_size=500),
    src_ip=addresses,
    src_port=st.integers(0, 65535),
    seconds=st.integers(1, 2**32 - 1),
    microseconds=st.integers(0, 999_999),
    payload_type=st.sampled_from([*(p for p in Payload if p < 256), 53, 255]),
    node_id=st.integers(0, 2**32 - 1),
    node_name=st.text(max_size=20),
    compress=st.sampled_from(["", "zlib", "gzip", "deflate"]),
)
def test_what_is_encoded_is_parsed_back(
    payload, src_ip, src_port, seconds, microseconds, payload_type, node_id, node_name, compress
) -> None:
    dst_ip = "192.0.2.9" if src_ip.version == 4 else "2001:db8::9"
    made = encode_hep3(
        payload,
        src=Endpoint(str(src_ip), src_port),
        dst=Endpoint(dst_ip, 9),
        captured_ns=seconds * 10**9 + microseconds * 1000 + 999,
        payload_type=payload_type,
        node_id=node_id,
        node_name=node_name,
        correlation_id="cid",
        compress=compress,
        extra_chunks=[(0, 0x12, b"\0\x01"), (2, 0x0F, b"vendor")],
    )
    batch = parse(HepParser(), [made])
    row = batch.rows[0]
    expected = (payload, seconds * 10**9 + microseconds * 1000, src_port, payload_type, node_id, node_name, b"cid")
    found = (
        text(batch, 0, "payload"),
        int(row["captured_ns"]),
        int(row["src_port"]),
        int(row["payload_type"]),
        int(row["node_id"]),
        text(batch, 0, "node_name").decode(),
        text(batch, 0, "correlation"),
    )
    assert (expected, src_ip.packed[-4:]) == (found, row["src_ip"].tobytes()[-4:])


def test_a_hep2_datagram_is_parsed_back() -> None:
    made = encode_hep2(b"BYE", src=SRC, dst=DST, captured_ns=AT_NS, node_id=77, ip_proto=6)
    batch = parse(HepParser(), [made])
    row = batch.rows[0]
    assert (AT_NS, 77, 6, 5060, 5062, b"BYE") == (
        int(row["captured_ns"]),
        int(row["node_id"]),
        int(row["ip_proto"]),
        int(row["src_port"]),
        int(row["dst_port"]),
        text(batch, 0, "payload"),
    )


def test_a_payload_that_fits_no_datagram_is_refused_by_the_encoder() -> None:
    with pytest.raises(ValueError, match="at most 65535"):
        datagram(bytes(65_500))


def test_rows_of_a_batch_are_writable_and_of_the_contract() -> None:
    rows = parse(HepParser(), [datagram()]).rows
    assert (DATAGRAM, True) == (rows.dtype, rows.flags.writeable)
