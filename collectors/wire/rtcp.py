"""Binary RTCP (RFC 3550 section 6, RFC 3611, RFC 5506), both ways.

A datagram is walked by the lengths of its packets: sender and receiver reports, source descriptions, goodbyes and
extended reports become facts, the rest (APP, transport and payload feedback) is skipped. Bytes that are not RTCP
are counted by reason; nothing here raises, and nothing here decides what a report means over time.

Encrypted RTCP (SRTCP, RFC 3711) keeps the first eight bytes in the clear and so looks like RTCP. It shows in its
trailer, in lengths that do not walk, and in values that no receiver reports; it is counted, not believed.
"""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from collectors.facts import Goodbye, ReceptionReport, RtcpFact, RtcpMessage, SenderInfo, SourceDescription
from collectors.wire.rtcp_xr import XR, parse_xr_blocks
from telephony.model import Endpoint

SR, RR, SDES, BYE, APP, RTPFB, PSFB = range(200, 207)

ENCRYPTED = "encrypted"
TRUNCATED = "truncated"
BAD_HEADER = "bad_header"
BAD_LENGTH = "bad_length"
BAD_PADDING = "bad_padding"
IMPLAUSIBLE = "implausible"

SKIPPED = {APP: "app", RTPFB: "feedback", PSFB: "feedback"}
UNKNOWN_TYPE = "unknown_type"

MAX_JITTER_TICKS = 960_000
"""Ten seconds of a 96 kHz clock; no receiver computes more (rtpengine#282 shows 3.8e9 from encrypted RTCP)."""
MAX_CUMULATIVE_LOST = 1 << 22
"""A day of nothing but loss at 50 packets/s."""
MIN_CUMULATIVE_LOST = -(1 << 20)
"""More duplicates than five hours of everything twice."""
MAX_DLSR = 3600 << 16
"""An hour since the last SR."""
MAX_SENDER_PACKETS = 1 << 27
"""A month at 50 packets/s."""
MAX_SENDER_PACKET_OCTETS = 9_000

SRTCP_TAGS = (10, 4, 0)
"""Bytes of authentication tag after the SRTCP index: HMAC-SHA1-80, HMAC-SHA1-32; AES-GCM's comes before it."""

_HEADER = Struct(">BBH")
_SENDER = Struct(">IQIII")
_REPORT = Struct(">IIIIII")
_U32 = Struct(">I")


class ParsedRtcp(NamedTuple):
    """What a datagram, JSON or body said, and the reasons of what was not believed or not read.

    `local` (who reports, or the receiver of the stream) and `remote` override the transport addresses where the
    payload names the media addresses itself; `call_id` likewise the correlation id.
    """

    facts: tuple[RtcpFact, ...]
    rejected: tuple[str, ...] = ()
    """Not believed; one of a small fixed set of words, to be counted."""
    skipped: tuple[str, ...] = ()
    """Well formed and of no use to us; likewise."""
    call_id: str = ""
    local: Endpoint | None = None
    remote: Endpoint | None = None
    from_vq: bool = False

    def message(self, at_ns: int, src: Endpoint, dst: Endpoint, call_id: str, node_id: int) -> RtcpMessage:
        """Return the facts with the addresses they came with; the payload's own Call-ID and addresses win."""
        return RtcpMessage(
            at_ns,
            src,
            dst,
            self.call_id or call_id,
            node_id,
            self.facts,
            self.from_vq,
            self.local,
            self.remote,
        )


_NOT_RTCP = ParsedRtcp((), (TRUNCATED,))
_ENCRYPTED = ParsedRtcp((), (ENCRYPTED,))


def is_odd_sender(sender: SenderInfo) -> bool:
    """Return whether no sender would count this."""
    return (
        sender.packets > MAX_SENDER_PACKETS or sender.octets > MAX_SENDER_PACKET_OCTETS * sender.packets + 0xFFFF
    )


def believed(facts: Iterable[RtcpFact]) -> tuple[list[RtcpFact], int, int]:
    """Return the facts whose values are possible, how many were not, and how many signs of encryption they show.

    One impossible value is a receiver's bug and costs that report; two are cipher text (see `parse_rtcp`).
    """
    kept: list[RtcpFact] = []
    odd = signs = 0
    for fact in facts:
        if isinstance(fact, ReceptionReport):
            jitter_odd = fact.jitter_ticks > MAX_JITTER_TICKS
            lost_odd = not MIN_CUMULATIVE_LOST < fact.cumulative_lost < MAX_CUMULATIVE_LOST
            signs += jitter_odd + lost_odd + (fact.lsr != 0 and fact.dlsr > MAX_DLSR)
            if jitter_odd or lost_odd:
                odd += 1
                continue
        elif isinstance(fact, SenderInfo) and is_odd_sender(fact):
            signs += 1
            odd += 1
            continue
        kept.append(fact)
    return kept, odd, signs


def parse_rtcp(data: bytes | memoryview) -> ParsedRtcp:
    """Return the facts of one RTCP datagram, compound or reduced-size (RFC 5506); never raises."""
    size = len(data)
    if size < 8:
        return _NOT_RTCP
    facts: list[RtcpFact] = []
    rejected: list[str] = []
    skipped: list[str] = []
    failure = ""
    doubtful = False
    at = 0
    while at < size:
        if at + 4 > size:
            # Some pad a description by the byte instead of the word: zeros left over harm nothing.
            failure = TRUNCATED if any(data[at:]) else ""
            break
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or not 192 <= kind <= 223:
            failure = BAD_HEADER
            break
        if end > size:
            failure = TRUNCATED
            break
        body_end = end
        if first & 0x20:
            padding = data[end - 1]
            if not padding or padding % 4 or padding > 4 * words:
                failure = BAD_PADDING
                break
            body_end -= padding
        count = first & 0x1F
        body = at + 4
        at = end
        if kind in (SR, RR):
            blocks = body + (_SENDER.size if kind == SR else 4)
            if blocks + count * _REPORT.size > body_end:
                rejected.append(BAD_LENGTH)
                continue
            if kind == SR:
                ssrc, ntp, rtp_timestamp, packets, octets = _SENDER.unpack_from(data, body)
                facts.append(SenderInfo(ssrc, ntp, rtp_timestamp, packets, octets))
                doubtful |= packets > MAX_SENDER_PACKETS or octets > MAX_SENDER_PACKET_OCTETS * packets + 0xFFFF
            else:
                ssrc = _U32.unpack_from(data, body)[0]
            for block in range(blocks, blocks + count * _REPORT.size, _REPORT.size):
                source, lost, highest, jitter, lsr, dlsr = _REPORT.unpack_from(data, block)
                cumulative = ((lost & 0xFF_FFFF) ^ 0x80_0000) - 0x80_0000
                facts.append(
                    ReceptionReport(ssrc, source, lost >> 24, cumulative, highest, False, jitter, lsr, dlsr)
                )
                doubtful |= (
                    jitter > MAX_JITTER_TICKS
                    or dlsr > MAX_DLSR
                    or not MIN_CUMULATIVE_LOST < cumulative < MAX_CUMULATIVE_LOST
                )
        elif kind == SDES:
            if not _source_descriptions(data, body, body_end, count, facts):
                rejected.append(BAD_LENGTH)
        elif kind == BYE:
            if body + 4 * count > body_end:
                rejected.append(BAD_LENGTH)
            elif count:
                facts.append(Goodbye(Struct(f">{count}I").unpack_from(data, body)))
        elif kind == XR:
            if body + 4 > body_end:
                rejected.append(BAD_LENGTH)
                continue
            blocks_found = parse_xr_blocks(data, body + 4, body_end, _U32.unpack_from(data, body)[0])
            facts += blocks_found.facts
            rejected += blocks_found.rejected
            skipped += blocks_found.skipped
        else:
            skipped.append(SKIPPED.get(kind, UNKNOWN_TYPE))
    if failure and _is_authenticated_only(data, at):
        failure = ""
    if not (failure or doubtful):
        return ParsedRtcp(tuple(facts), tuple(rejected), tuple(skipped))
    if failure:
        if _has_srtcp_trailer(data, at):
            return _ENCRYPTED
        rejected.append(failure)
    kept, odd, signs = believed(facts)
    if signs > 1 or (signs and failure):
        return _ENCRYPTED
    return ParsedRtcp(tuple(kept), (*rejected, *[IMPLAUSIBLE] * odd), tuple(skipped))


def _has_srtcp_trailer(data: bytes | memoryview, walked: int) -> bool:
    """Return whether the datagram ends as encrypted SRTCP does (RFC 3711 section 3.4, RFC 7714 section 9.2).

    The E bit is set and the index after it small: 2^24 reports last longer than any call. The trailer may not
    begin inside what already walked as plain RTCP.
    """
    for tag in SRTCP_TAGS:
        index = len(data) - tag - 4
        if index >= max(8, walked) and data[index] == 0x80 and (tag == 10) == (len(data) % 4 == 2):
            return True
    return False


def _is_authenticated_only(data: bytes | memoryview, walked: int) -> bool:
    """Return whether plain packets end exactly at an SRTCP trailer whose E bit is clear."""
    return len(data) - walked == 14 and data[walked] == 0


def _source_descriptions(data: bytes | memoryview, at: int, end: int, count: int, facts: list[RtcpFact]) -> bool:
    """Append the CNAMEs of `count` chunks (RFC 3550 section 6.5); return whether they fit."""
    for _ in range(count):
        if at + 4 > end:
            return False
        ssrc = _U32.unpack_from(data, at)[0]
        item = at + 4
        while item < end and (kind := data[item]):
            if item + 2 > end or (text_end := item + 2 + data[item + 1]) > end:
                return False
            if kind == 1:
                facts.append(SourceDescription(ssrc, str(data[item + 2 : text_end], "utf-8", "replace")))
            item = text_end
        at += (item - at) // 4 * 4 + 4  # at least one null byte, then up to the next word
    return True


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _report_blocks(reports: Iterable[ReceptionReport]) -> bytes:
    return b"".join(
        _REPORT.pack(
            r.source_ssrc,
            r.fraction_lost << 24 | r.cumulative_lost & 0xFF_FFFF,
            r.extended_highest_seq,
            int(r.jitter_ticks),
            r.lsr,
            r.dlsr,
        )
        for r in reports
    )


def build_sender_report(sender: SenderInfo, reports: Iterable[ReceptionReport] = ()) -> bytes:
    """Return an SR packet with up to 31 report blocks; join packets to make a compound."""
    blocks = _report_blocks(reports)
    head = _SENDER.pack(sender.ssrc, sender.ntp, sender.rtp_timestamp, sender.packets, sender.octets)
    return _packet(len(blocks) // _REPORT.size, SR, head + blocks)


def build_receiver_report(reporter_ssrc: int, reports: Iterable[ReceptionReport] = ()) -> bytes:
    """Return an RR packet with up to 31 report blocks."""
    blocks = _report_blocks(reports)
    return _packet(len(blocks) // _REPORT.size, RR, _U32.pack(reporter_ssrc) + blocks)


def build_source_description(*descriptions: SourceDescription) -> bytes:
    """Return an SDES packet with the CNAME of each source, at most 255 bytes of UTF-8."""
    chunks = b""
    for description in descriptions:
        name = description.cname.encode()[:255]
        chunk = _U32.pack(description.ssrc) + bytes((1, len(name))) + name
        chunks += chunk + bytes(4 - len(chunk) % 4)
    return _packet(len(descriptions), SDES, chunks)


def build_goodbye(goodbye: Goodbye) -> bytes:
    """Return a BYE packet."""
    return _packet(len(goodbye.ssrcs), BYE, b"".join(map(_U32.pack, goodbye.ssrcs)))
