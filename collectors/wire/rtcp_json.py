"""RTCP as HEP agents tell it in JSON (HEP types 5, 34 and 35), in the dialects seen in the wild.

rtpengine, captagent, heplify 1 and 2, Asterisk and FreeSWITCH (hepipe) share most keys and few types; the traps
of each are marked where they are met. A compound of rtpengine repeats the keys `ssrc`, `type`, `report_count` and
`report_blocks`, so the last-wins reading of ordinary JSON parsers would lose the first list: the fast path is only
taken where no key repeats. The `type` key is not trusted (heplify 1 writes that of the last packet of a compound,
mostly SDES): what is there is what counts. Nothing here raises.
"""

import json
from collections.abc import Callable, Iterable

import msgspec

from collectors.facts import Goodbye, ReceptionReport, RtcpFact, SenderInfo, SourceDescription, VoipMetrics
from collectors.wire import lenient
from collectors.wire.rtcp import BYE, ENCRYPTED, IMPLAUSIBLE, RR, SR, ParsedRtcp, believed
from collectors.wire.rtcp_xr import PLC, VOIP_METRICS
from collectors.wire.rtp_report import AGENT_KEYS, rtp_agent_report

NOT_JSON = "not_json"
NOT_RTCP = "not_rtcp_json"
OVERSIZED = "oversized"

MAX_JSON_BYTES = 65_535
"""A HEP frame holds no more."""

NTP_OF_UNIX_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""
UNIX_SECONDS_MIN = 1_000_000_000
"""Below this a small `ntp_timestamp_sec` is an uptime, not a Unix time."""

_U32 = lenient.U32


class _Sender(msgspec.Struct, gc=False):
    ntp_timestamp_sec: int = 0
    ntp_timestamp_usec: int = 0
    rtp_timestamp: int = 0
    packets: int = 0
    octets: int = 0


class _Block(msgspec.Struct, gc=False):
    source_ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_seq_no: int
    ia_jitter: int
    lsr: int
    dlsr: int


class _Sdes(msgspec.Struct, gc=False):
    type: int
    text: str
    sdes_chunk_ssrc: int = 0


class _Report(msgspec.Struct):
    """The keys of rtpengine and captagent; a `Raw` one sends the message the slow way."""

    ssrc: int
    type: int = 0
    report_blocks: list[_Block] = []
    sender_information: _Sender | None = None
    sdes_information: list[_Sdes] = []
    sdes_ssrc: int = 0
    report_blocks_xr: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    extended_report_information: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    Extended_report_information: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode: Callable[[bytes], _Report] = msgspec.json.Decoder(_Report).decode


def parse_rtcp_json(data: bytes | memoryview) -> ParsedRtcp:
    """Return the facts of one RTCP message in JSON, of any dialect and HEP type 5, 34 or 35; never raises."""
    if len(data) > MAX_JSON_BYTES:
        return ParsedRtcp((), (OVERSIZED,))
    text = bytes(data)
    if text.count(b'"ssrc"') == 1:  # no key repeats
        try:
            report = _decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _parse_any(text)
        facts = _facts_of_report(report)
        if facts is not None:
            return _judged(facts)
    return _parse_any(text)


def _facts_of_report(report: _Report) -> list[RtcpFact] | None:
    """Return the facts of a message with the usual keys and types; None sends it the slow way."""
    unset = msgspec.UNSET
    if not (
        report.report_blocks_xr is unset
        and report.extended_report_information is unset
        and report.Extended_report_information is unset
    ):
        return None
    facts: list[RtcpFact] = []
    ssrc = report.ssrc
    words = ssrc | report.sdes_ssrc
    sender = report.sender_information
    if sender is not None:
        seconds, fraction = sender.ntp_timestamp_sec, sender.ntp_timestamp_usec
        words |= seconds | fraction | sender.rtp_timestamp | sender.packets | sender.octets
        if seconds or fraction or sender.packets or sender.octets:
            ntp = seconds << 32 | fraction if seconds >= NTP_OF_UNIX_EPOCH else _ntp(seconds, fraction)
            facts.append(SenderInfo(ssrc, ntp, sender.rtp_timestamp, sender.packets, sender.octets))
    for b in report.report_blocks:
        words |= b.source_ssrc | b.packets_lost | b.highest_seq_no | b.ia_jitter | b.lsr | b.dlsr
        highest = b.highest_seq_no
        cumulative = ((b.packets_lost & 0xFF_FFFF) ^ 0x80_0000) - 0x80_0000
        facts.append(
            ReceptionReport(
                ssrc,
                b.source_ssrc,
                b.fraction_lost & 0xFF,
                cumulative,
                highest,
                highest < 0x1_0000,
                b.ia_jitter,
                b.lsr,
                b.dlsr,
            )
        )
    facts += [
        SourceDescription((item.sdes_chunk_ssrc or report.sdes_ssrc or ssrc) & _U32, item.text)
        for item in report.sdes_information
        if item.type == 1
    ]
    if report.type == BYE:
        facts.append(Goodbye((ssrc,)))
    # A negative, or more than a word, in any of them: read each with care.
    return facts if not words >> 32 and facts else None


def _ntp(seconds: int, fraction: int) -> int:
    """Return the 64-bit NTP time; Asterisk writes Unix seconds and microseconds under the same keys."""
    if UNIX_SECONDS_MIN <= seconds < NTP_OF_UNIX_EPOCH and fraction < 1_000_000:
        return (seconds + NTP_OF_UNIX_EPOCH) << 32 | (fraction << 32) // 1_000_000
    return seconds << 32 | fraction


def _judged(facts: list[RtcpFact]) -> ParsedRtcp:
    kept, odd, signs = believed(facts)
    return ParsedRtcp((), (ENCRYPTED,)) if signs > 1 else ParsedRtcp(tuple(kept), (IMPLAUSIBLE,) * odd)


# --- the slow way: any dialect -----------------------------------------------------------------------------


class _Object(list[tuple[str, object]]):
    """A JSON object as ordered pairs, repeated keys kept."""

    def get(self, *keys: str) -> object:
        """Return the value of the first of these keys that is there; None where none is."""
        for key in keys:
            for name, value in self:
                if name == key:
                    return value
        return None

    def has(self, key: str) -> bool:
        """Tell whether a key is there."""
        return any(name == key for name, _ in self)


def _objects(value: object) -> list[_Object]:
    """Return the objects of a list, or the one object that stands where a list should."""
    if isinstance(value, _Object):
        return [value]
    return [item for item in value if isinstance(item, _Object)] if isinstance(value, list) else []


def _parse_any(text: bytes) -> ParsedRtcp:
    try:
        value = json.loads(text.rstrip(b"\0 \r\n").decode("utf-8", "replace"), object_pairs_hook=_Object)
    except (ValueError, RecursionError):
        return ParsedRtcp((), (NOT_JSON,))
    if not isinstance(value, _Object):
        return ParsedRtcp((), (NOT_RTCP,))
    if any(name in AGENT_KEYS for name, _ in value):
        return rtp_agent_report(dict(value))
    facts = _ordered_facts(value)
    return _judged(facts) if facts else ParsedRtcp((), (NOT_RTCP,))


def _ordered_facts(message: _Object) -> list[RtcpFact]:
    """Return the facts of a message in their order.

    A list of blocks belongs to the `ssrc` before it, or else the first one; sender information to the `ssrc`
    after it, or else the last one.
    """
    facts: list[RtcpFact] = []
    ssrc = lenient.to_ssrc(message.get("ssrc"))
    is_compound = sum(name == "ssrc" for name, _ in message) > 1
    waiting: _Object | None = None
    # heplify copies all 32 bits of the sequence number, so a small one is small.
    carries_cycles = message.has("report_blocks_xr") or message.has("receiver_report")
    for name, value in message:
        if name == "ssrc":
            ssrc = lenient.to_ssrc(value)
            if waiting is not None:
                facts += _sender(waiting, ssrc)
                waiting = None
        elif name in ("sender_information", "sender_report") and isinstance(value, _Object):
            if is_compound:
                waiting = value
            else:
                facts += _sender(value, ssrc)
        elif name in ("report_blocks", "receiver_report"):
            facts += [_reception_report(block, ssrc, carries_cycles) for block in _objects(value)]
        elif name == "report_blocks_xr":
            facts += [_heplify1_xr(xr, ssrc) for xr in _objects(value) if _number(xr, "type") == VOIP_METRICS]
        elif name.lower() == "extended_report_information":
            facts += [_captagent_xr(xr, ssrc) for xr in _objects(value)]
        elif name == "voip_metrics":
            facts += [_heplify2_xr(xr, ssrc) for xr in _objects(value)]
    if waiting is not None:
        facts += _sender(waiting, ssrc)
    facts += _descriptions(message, ssrc)
    if _number(message, "type") == BYE:
        facts.append(Goodbye((ssrc,)))
    return facts


def _number(item: _Object, *keys: str) -> int:
    return lenient.to_u32(item.get(*keys))


def _sender(item: _Object, ssrc: int) -> list[RtcpFact]:
    """Return the sender information, or nothing where all of it is zero (heplify 1 writes it always)."""
    seconds = _number(item, "ntp_timestamp_sec", "ntp_time_sec")
    fraction = _number(item, "ntp_timestamp_usec", "ntp_time_frac")
    packets = _number(item, "packets", "packet_count")
    octets = _number(item, "octets", "octet_count")
    if not (seconds or fraction or packets or octets):
        return []
    rtp_timestamp = _number(item, "rtp_timestamp", "rtp_time")
    return [SenderInfo(ssrc, _ntp(seconds, fraction), rtp_timestamp, packets, octets)]


def _reception_report(block: _Object, ssrc: int, carries_cycles: bool) -> ReceptionReport:
    highest = _number(block, "highest_seq_no", "highest_seq")
    return ReceptionReport(
        reporter_ssrc=ssrc,
        source_ssrc=lenient.to_ssrc(block.get("source_ssrc", "ssrc")),
        fraction_lost=_number(block, "fraction_lost") & 0xFF,
        cumulative_lost=lenient.signed_24_bit(_number(block, "packets_lost")),
        extended_highest_seq=highest,
        seq_is_16_bit=highest < 0x1_0000 and not carries_cycles,
        jitter_ticks=max(lenient.to_float(block.get("ia_jitter", "jitter")) or 0.0, 0.0),
        lsr=_number(block, "lsr", "last_sr"),
        dlsr=_number(block, "dlsr", "delay_since_last_sr"),
    )


def _descriptions(message: _Object, ssrc: int) -> list[RtcpFact]:
    default = lenient.to_ssrc(message.get("sdes_ssrc")) or ssrc
    found: list[RtcpFact] = []
    for item in _objects(message.get("sdes_information")):
        text = item.get("text")
        if _number(item, "type") == 1 and isinstance(text, str):
            chunk = lenient.to_ssrc(item.get("sdes_chunk_ssrc")) or default
            found.append(SourceDescription(chunk, text))
    for chunk_item in _objects(message.get("sdes")):
        for item in _objects(chunk_item.get("items")):
            text = item.get("text")
            if _number(item, "type") == 1 and isinstance(text, str):
                found.append(SourceDescription(lenient.to_ssrc(chunk_item.get("ssrc")), text))
    return found


def _metrics(xr: _Object, ssrc: int, source: int, names: dict[str, str], tenfold_mos: bool) -> VoipMetrics:
    """Return a VoIP metrics block whose keys are `names`; a missing name is a value the dialect does not carry."""

    def value(field: str) -> object:
        return xr.get(names[field]) if field in names else None

    def of_256(field: str) -> float:
        return (lenient.to_u32(value(field)) & 0xFF) / 256

    def mos(field: str) -> float | None:
        number = lenient.to_float(value(field))
        return None if number is None else lenient.mos(number / 10 if tenfold_mos else number)

    return VoipMetrics(
        reporter_ssrc=ssrc,
        source_ssrc=source,
        loss_ratio=of_256("loss"),
        discard_ratio=of_256("discard"),
        burst_density=of_256("burst"),
        gap_density=of_256("gap"),
        burst_duration_ms=lenient.to_float(xr.get("burst_duration")),
        gap_duration_ms=lenient.to_float(xr.get("gap_duration")),
        round_trip_ms=lenient.positive(xr.get("round_trip_delay")),
        end_system_delay_ms=lenient.positive(xr.get("end_system_delay", "end_sys_delay")),
        r_factor=lenient.r_factor(value("r")),
        mos_lq=mos("mos_lq"),
        mos_cq=mos("mos_cq"),
        plc=_plc(xr),
        jitter_buffer_nominal_ms=lenient.to_float(value("nominal")),
    )


def _plc(xr: _Object) -> str:
    whole = xr.get("rx_config")
    if whole is not None:
        return PLC[_number(xr, "rx_config") >> 6 & 3]
    for config in _objects(xr.get("RX_conf")):
        return PLC[_number(config, "PLC") & 3]
    return PLC[0]


_HEPLIFY1 = {
    "loss": "fraction_lost",
    "discard": "fraction_discard",
    "burst": "burst_density",
    "gap": "gap_density",
}
_CAPTAGENT = {
    "loss": "loss_rate",
    "discard": "discard_rate",
    "burst": "burst_rate",
    "gap": "gap_rate",
    "r": "R_fact",
    "mos_lq": "MOS_LQ",
    "mos_cq": "MOS_CQ",
    "nominal": "JB_nom",
}
_HEPLIFY2 = {
    "loss": "loss_rate",
    "discard": "discard_rate",
    "burst": "burst_density",
    "gap": "gap_density",
    "r": "r_factor",
    # The dialect reads the two bytes in the wrong order (RFC 3611 section 4.7 has MOS-LQ first).
    "mos_lq": "mos_cq",
    "mos_cq": "mos_lq",
    "nominal": "jb_nominal",
}


def _heplify1_xr(xr: _Object, ssrc: int) -> VoipMetrics:
    return _metrics(xr, ssrc, lenient.to_ssrc(xr.get("id")), _HEPLIFY1, tenfold_mos=True)


def _captagent_xr(xr: _Object, ssrc: int) -> VoipMetrics:
    return _metrics(xr, ssrc, lenient.to_ssrc(xr.get("identifier")), _CAPTAGENT, tenfold_mos=True)


def _heplify2_xr(xr: _Object, ssrc: int) -> VoipMetrics:
    return _metrics(xr, ssrc, lenient.to_ssrc(xr.get("ssrc")), _HEPLIFY2, tenfold_mos=False)


# --- building ------------------------------------------------------------------------------------------------


def encode_rtpengine_json(
    reporter_ssrc: int,
    sender: SenderInfo | None = None,
    reports: Iterable[ReceptionReport] = (),
    cname: str = "",
) -> bytes:
    """Return one SR (or RR, without `sender`) and its SDES as rtpengine writes them, byte for byte.

    Of the sequence number only the low 16 bits are written, and the cumulative loss as an unsigned 24-bit number.
    """
    blocks = [
        f'{{"source_ssrc":{r.source_ssrc},"highest_seq_no":{r.extended_highest_seq & 0xFFFF},'
        f'"fraction_lost":{r.fraction_lost},"ia_jitter":{int(r.jitter_ticks)},'
        f'"packets_lost":{r.cumulative_lost & 0xFF_FFFF},"lsr":{r.lsr},"dlsr":{r.dlsr}}}'
        for r in reports
    ]
    head = ""
    if sender is not None:
        head = (
            f'"sender_information":{{"ntp_timestamp_sec":{sender.ntp >> 32},'
            f'"ntp_timestamp_usec":{sender.ntp & _U32},"octets":{sender.octets},'
            f'"rtp_timestamp":{sender.rtp_timestamp}, "packets":{sender.packets}}},'
        )
    description = ""
    if cname:
        description = (
            f',"sdes_report_count":1,"sdes_information": '
            f'[ {{"sdes_chunk_ssrc":{reporter_ssrc},"type":1,"text":{json.dumps(cname, ensure_ascii=False)}}}]'
        )
    return (
        f'{{ {head}"ssrc":{reporter_ssrc},"type":{SR if sender is not None else RR},'
        f'"report_count":{len(blocks)},"report_blocks":[{",".join(blocks)}]{description} }}'
    ).encode()
