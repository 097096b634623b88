"""What the E-model must know of each codec, with where each number comes from.

Ie and Bpl are planning values of ITU-T G.113 where it publishes them; every other number is marked
`assumed` and says whose practice it follows. Nothing is taken silently: a rating carries these sources.
G.113 was read at second hand, as several public implementations quote its tables; `published` means that they
agree on it.
This module must not guess a codec from traffic; an unknown name gets `FALLBACK`, never an exception.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from telephony.model import Scale, Source

_NB, _WB, _FB = Scale.NARROWBAND, Scale.WIDEBAND, Scale.FULLBAND


@dataclass(frozen=True, slots=True)
class CodecImpairment:
    """A codec (at one bit rate) as the E-model sees it."""

    name: str
    """Canonical name: the RTP encoding name, with a suffix for the variant (`PCMA-NOPLC`, `AMR-WB-12.65`)."""
    clock_rate_hz: int
    """RTP clock (RFC 3551, RFC 7587), not always the sampling rate."""
    scale: Scale
    """The E-model whose scale `ie` and `bpl` are on."""
    ie: float
    """Equipment impairment factor without packet loss."""
    bpl: float
    """Packet-loss robustness factor."""
    frame_ms: float
    lookahead_ms: float
    """Algorithmic delay beyond the frame."""
    plc: bool
    """Packet-loss concealment is part of `bpl`."""
    ie_source: Source
    bpl_source: Source
    source: str
    """The origin of `ie` and `bpl` in words."""
    bitrate_kbps: float | None = None
    """The bit rate `ie` belongs to, for codecs whose `ie` depends on it."""
    voice: bool = True
    """False for payloads that carry no speech: they have no MOS."""

    @property
    def provenance(self) -> Source:
        """The weaker of the sources of `ie` and `bpl`."""
        return self.bpl_source if self.ie_source is Source.PUBLISHED else self.ie_source


class StaticCodec(NamedTuple):
    """A static payload type of RFC 3551 section 6."""

    name: str
    clock_rate_hz: int
    channels: int = 1


def _row(
    name: str,
    scale: Scale,
    ie: float,
    bpl: float,
    source: str,
    *,
    clock: int = 8000,
    frame: float = 20.0,
    lookahead: float = 0.0,
    published: str = "",
    plc: bool = True,
    kbps: float | None = None,
    voice: bool = True,
) -> CodecImpairment:
    """Make a table row; `published` lists which of `ie` and `bpl` an ITU-T table holds."""
    ie_source, bpl_source = (
        Source.PUBLISHED if key in published.split() else Source.ASSUMED for key in ("ie", "bpl")
    )
    return CodecImpairment(
        name, clock, scale, ie, bpl, frame, lookahead, plc, ie_source, bpl_source, source, kbps, voice
    )


_APPENDIX_I = "ITU-T G.113 Appendix I"
_BPL_OF_G711 = f"Ie {_APPENDIX_I}; Bpl not published: 4.3 of G.711 without concealment is assumed"
_BPL_OF_EFR = f"Ie {_APPENDIX_I}; Bpl not published: 10 of GSM-EFR is assumed"
_BPL_OF_PEERS = "Ie ITU-T G.113 table IV.1 (64 kbit/s); Bpl not published: 7.1 as peers use is assumed"
_AS_G723 = f"Ie {_APPENDIX_I}; Bpl not published: 16.1 of 6.3 kbit/s is assumed"
_AS_G729 = "no value published: Ie 11 and Bpl 19 of G.729A with VAD are assumed"
_OPUS_OF_PEERS = "no value published: Ie 10.2 and Bpl 4.3 on the fullband scale, as peers use, are assumed"

FALLBACK = _row(
    "UNKNOWN",
    _NB,
    10.0,
    10.0,
    "codec unknown: Ie 10 (as G.729, so that a clean stream stays in band B) and Bpl 10 (as GSM-EFR) are assumed",
)
"""For a codec that is not in the table: conservative, yet no alarm by itself."""


def _g711() -> list[CodecImpairment]:
    rows = []
    for name in ("PCMU", "PCMA", "G711"):
        # The concealment of G.711 Appendix I adds 3.75 ms; without it there is no algorithmic delay.
        concealed = _row(
            name,
            _NB,
            0.0,
            25.1,
            f"{_APPENDIX_I}; concealment (G.711 Appendix I) at the receiver is assumed",
            frame=0.125,
            lookahead=3.75,
            published="ie bpl",
        )
        rows += [
            concealed,
            replace(
                concealed, name=f"{name}-PLC", source=f"{_APPENDIX_I}; concealment (G.711 Appendix I) declared"
            ),
            replace(
                concealed,
                name=f"{name}-NOPLC",
                bpl=4.3,
                lookahead_ms=0.0,
                plc=False,
                source=f"{_APPENDIX_I}; without concealment",
            ),
        ]
    return rows


def _g726() -> list[CodecImpairment]:
    return [
        _row(f"G726-{kbps}", _NB, ie, 4.3, _BPL_OF_G711, frame=0.125, published="ie", plc=False, kbps=kbps)
        for kbps, ie in ((40, 2.0), (32, 7.0), (24, 25.0), (16, 50.0))
    ]


def _amr() -> list[CodecImpairment]:
    # G.113 has no row for AMR. Each mode takes the row of the codec it descends from, at or below its rate.
    text = "G.113 has no row for AMR: {} are assumed"
    efr, is641, gsm = "Ie 5, Bpl 10 of GSM-EFR", "Ie 10 of IS-641 and Bpl 10 of GSM-EFR", "Ie 20 of GSM, Bpl 10"
    return [
        _row(f"AMR-{kbps:g}", _NB, ie, 10.0, text.format(of), lookahead=5.0, kbps=kbps)
        for kbps, ie, of in (
            (12.2, 5.0, efr),
            (10.2, 10.0, is641),
            (7.95, 10.0, is641),
            (7.4, 10.0, is641),
            (6.7, 20.0, gsm),
            (5.9, 20.0, gsm),
            (5.15, 20.0, gsm),
            (4.75, 20.0, gsm),
        )
    ]


def _amr_wb() -> list[CodecImpairment]:
    # 23.85 scores below 23.05, as published: do not "correct" it.
    ie = {
        6.6: 41.0,
        8.85: 26.0,
        12.65: 13.0,
        14.25: 10.0,
        15.85: 7.0,
        18.25: 5.0,
        19.85: 3.0,
        23.05: 1.0,
        23.85: 8.0,
    }
    diotic_bpl = {12.65: 4.3, 23.05: 4.6, 23.85: 4.9}
    rows = []
    for kbps, value in ie.items():
        if kbps in diotic_bpl:
            bpl_text = "Bpl published for diotic listening only (table IV.4)"
        else:
            bpl_text = "Bpl not published, 4.3 of mode 12.65 is assumed"
        rows.append(
            _row(
                f"AMR-WB-{kbps:g}",
                _WB,
                value,
                diotic_bpl.get(kbps, 4.3),
                f"Ie ITU-T G.113 (09/2024) table IV.1, monotic; {bpl_text}",
                clock=16000,
                lookahead=5.0,
                published="ie",
                kbps=kbps,
            )
        )
    return rows


def _evs() -> list[CodecImpairment]:
    table = (
        (48.0, 10.2, 9.6),
        (32.0, 8.7, 9.3),
        (24.4, 7.2, 11.4),
        (16.4, 10.8, 10.3),
        (13.2, 17.1, 11.7),
        (9.6, 22.7, 13.0),
    )
    return [
        _row(
            f"EVS-{kbps:g}",
            _FB,
            ie,
            bpl,
            "ITU-T G.113 (09/2024) Appendix V with Erratum 1; super-wideband mode is assumed",
            clock=16000,
            lookahead=12.0,
            published="ie bpl",
            kbps=kbps,
        )
        for kbps, ie, bpl in table
    ]


def _default_mode(row: CodecImpairment, name: str, what: str) -> CodecImpairment:
    """Return the row for a name that does not tell its mode: nothing of it is published any more."""
    return replace(
        row,
        name=name,
        ie_source=Source.ASSUMED,
        bpl_source=Source.ASSUMED,
        source=f"{what} is assumed; {row.source}",
    )


def _others() -> list[CodecImpairment]:
    a, pub = _APPENDIX_I, "ie bpl"
    return [
        # The Bpl of G.729 was measured for G.729A with VAD.
        _row("G729", _NB, 10.0, 19.0, a, frame=10.0, lookahead=5.0, published=pub),
        _row("G729-VAD", _NB, 11.0, 19.0, a, frame=10.0, lookahead=5.0, published=pub),
        _row("G723-6.3", _NB, 15.0, 16.1, a, frame=30.0, lookahead=7.5, published=pub, kbps=6.3),
        _row("G723-5.3", _NB, 19.0, 16.1, _AS_G723, frame=30.0, lookahead=7.5, published="ie", kbps=5.3),
        _row("G728", _NB, 7.0, 4.3, _BPL_OF_G711, frame=0.625, published="ie", plc=False),
        _row("GSM", _NB, 20.0, 10.0, _BPL_OF_EFR, published="ie"),
        _row("GSM-HR", _NB, 23.0, 10.0, _BPL_OF_EFR, lookahead=4.4, published="ie"),
        _row("GSM-EFR", _NB, 5.0, 10.0, a, published=pub),
        _row("ILBC", _NB, 11.0, 19.0, _AS_G729, lookahead=5.0),
        _row("SPEEX", _NB, 11.0, 19.0, _AS_G729, lookahead=10.0),
        _row("DVI4", _NB, 7.0, 4.3, "no value published: Ie 7 and Bpl 4.3 as G726-32 are assumed", plc=False),
        _row("L16", _NB, 0.0, 4.3, "no value published: as G711-NOPLC is assumed", clock=44100, plc=False),
        _row("G722", _WB, 13.0, 7.1, _BPL_OF_PEERS, frame=4.0, lookahead=1.5, published="ie", plc=False),
        _row(
            "G7221", _WB, 19.0, 7.1, "no value at hand: Ie 19 and Bpl 7.1 are assumed", clock=16000, lookahead=20.0
        ),
        _row("SILK", _WB, 13.0, 7.1, "no value published: as G722 is assumed", clock=16000, lookahead=5.0),
        _row("OPUS", _FB, 10.2, 4.3, _OPUS_OF_PEERS, clock=48000, lookahead=6.5),
        *(
            replace(FALLBACK, name=name, ie=0.0, source="carries no speech", plc=False, voice=False)
            for name in ("TELEPHONE-EVENT", "CN", "RED", "RTX", "T38")
        ),
    ]


def _table() -> dict[str, CodecImpairment]:
    rows = {row.name: row for row in (*_g711(), *_g726(), *_amr(), *_amr_wb(), *_evs(), *_others())}
    for name, mode in (("AMR", "12.2"), ("AMR-WB", "12.65"), ("EVS", "13.2"), ("G723", "6.3")):
        rows[name] = _default_mode(rows[f"{name}-{mode}"], name, f"mode {mode}")
    return rows


_TABLE = _table()

_ALIASES = {
    "G711U": "PCMU",
    "G711-MU": "PCMU",
    "ULAW": "PCMU",
    "MULAW": "PCMU",
    "G711A": "PCMA",
    "G711-A": "PCMA",
    "ALAW": "PCMA",
    "G729A": "G729",
    "G729B": "G729-VAD",
    "G729AB": "G729-VAD",
    "G7231": "G723",
    "G721": "G726-32",
    "G726": "G726-32",
    "AAL2-G726-16": "G726-16",
    "AAL2-G726-24": "G726-24",
    "AAL2-G726-32": "G726-32",
    "AAL2-G726-40": "G726-40",
    "GSM-FR": "GSM",
    "GSM-HR-08": "GSM-HR",
    "AMRNB": "AMR",
    "AMR-NB": "AMR",
    "AMRWB": "AMR-WB",
    "G7222": "AMR-WB",
    "COMFORT-NOISE": "CN",
    "CN-OLD": "CN",
    "DTMF": "TELEPHONE-EVENT",
    "UDPTL": "T38",
}

_STATIC = {
    0: StaticCodec("PCMU", 8000),
    3: StaticCodec("GSM", 8000),
    4: StaticCodec("G723", 8000),
    5: StaticCodec("DVI4", 8000),
    6: StaticCodec("DVI4", 16000),
    7: StaticCodec("LPC", 8000),
    8: StaticCodec("PCMA", 8000),
    # RFC 3551 section 4.5.2: the RTP clock of G.722 is 8000 Hz by an old mistake that was kept.
    9: StaticCodec("G722", 8000),
    10: StaticCodec("L16", 44100, 2),
    11: StaticCodec("L16", 44100),
    12: StaticCodec("QCELP", 8000),
    13: StaticCodec("CN", 8000),
    14: StaticCodec("MPA", 90000),
    15: StaticCodec("G728", 8000),
    16: StaticCodec("DVI4", 11025),
    17: StaticCodec("DVI4", 22050),
    18: StaticCodec("G729", 8000),
}

_AMR_MODES_KBPS = {
    "AMR": (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2),
    "AMR-WB": (6.6, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05, 23.85),
}
"""By mode number (RFC 4867 section 8)."""

_MODE_SET = re.compile(r"(?:^|;)\s*mode-set\s*=\s*([0-9, ]+)", re.IGNORECASE)
_G_NUMBER = re.compile(r"^G\.?(\d{3})\.?(\d?)(?=$|[^\d.])")
_BITRATE_SUFFIX = re.compile(r"^(.+)-(\d+(?:\.\d+)?)$")


def static_codec(payload_type: int) -> StaticCodec | None:
    """Return the audio codec of a static payload type (RFC 3551 section 6); None for all others.

    >>> static_codec(18)
    StaticCodec(name='G729', clock_rate_hz=8000, channels=1)
    """
    return _STATIC.get(payload_type)


@lru_cache(maxsize=1024)
def canonical_name(name: str) -> str:
    """Return the canonical spelling of an encoding name; an unknown one in upper case.

    >>> canonical_name("g.729A/8000"), canonical_name("pcma"), canonical_name("opus/48000/2")
    ('G729', 'PCMA', 'OPUS')
    """
    plain = name.partition("/")[0].strip().upper().replace("_", "-").replace(" ", "-")
    plain = _G_NUMBER.sub(r"G\1\2", plain)
    return _ALIASES.get(plain, plain)


def is_known(name: str) -> bool:
    """Tell whether a codec of this name is in the table.

    >>> is_known("PCMU"), is_known("QCELP")
    (True, False)
    """
    return _find(canonical_name(name), None) is not None


@lru_cache(maxsize=1024)
def lookup(
    name: str, plc: bool | None = None, bitrate_kbps: float | None = None, scale: Scale | None = None
) -> CodecImpairment:
    """Return the impairment of a codec by encoding name, alias or variant; `FALLBACK` where it is unknown.

    Args:
        name: In any case; a bit rate may follow (`AMR-WB-12.65`), as may `-NOPLC` for G.711.
        plc: Whether the receiver conceals loss, where it said so. It matters for G.711 alone: the values of
            the other codecs hold with the concealment they are defined with.
        bitrate_kbps: The bit rate where it is known; an unlisted one is ignored.
        scale: Rate it on another scale than the codec's own, see `on_scale`.

    >>> lookup("PCMA").bpl, lookup("PCMA", plc=False).bpl
    (25.1, 4.3)
    >>> lookup("AMR-WB", bitrate_kbps=23.85).ie
    8.0
    >>> lookup("klingon").name
    'UNKNOWN'
    """
    canonical = canonical_name(name)
    row = None
    if plc is not None:
        row = _TABLE.get(f"{canonical}-{'PLC' if plc else 'NOPLC'}")
    row = row or _find(canonical, bitrate_kbps) or FALLBACK
    return row if scale is None else on_scale(row, scale)


_SCALE_OFFSET = {_NB: 0.0, _WB: 35.8, _FB: 54.8}
"""What a codec without fault loses for the bandwidth that a scale has and it has not."""


def on_scale(codec: CodecImpairment, scale: Scale) -> CodecImpairment:
    """Return a codec with its `ie` moved to another E-model's scale.

    Upwards, a codec loses for its missing bandwidth: 35.8 from narrowband to wideband (129 - 93.2, G.107.1) and
    19 from wideband to fullband (G.113 Appendix V). Downwards there is no published rule: the same is given
    back, not below 0, and marked assumed. Bpl is kept and assumed in both directions.

    >>> on_scale(lookup("PCMA"), Scale.WIDEBAND).ie, on_scale(lookup("OPUS"), Scale.WIDEBAND).ie
    (35.8, 0.0)
    """
    if scale is codec.scale:
        return codec
    shift = _SCALE_OFFSET[scale] - _SCALE_OFFSET[codec.scale]
    return replace(
        codec,
        scale=scale,
        ie=max(0.0, codec.ie + shift),
        ie_source=codec.ie_source if shift > 0 else Source.ASSUMED,
        bpl_source=Source.ASSUMED,
        source=f"{codec.source}; moved to the {scale.value} scale by {shift:+.1f}, Bpl kept",
    )


def _find(canonical: str, bitrate_kbps: float | None) -> CodecImpairment | None:
    if bitrate_kbps is not None:
        row = _TABLE.get(f"{canonical}-{bitrate_kbps:g}")
        if row is not None:
            return row
    row = _TABLE.get(canonical)
    if row is None and (split := _BITRATE_SUFFIX.match(canonical)):
        row = _TABLE.get(f"{canonical_name(split[1])}-{float(split[2]):g}")
    return row


def pinned_bitrate_kbps(name: str, fmtp: str) -> float | None:
    """Return the bit rate of AMR or AMR-WB where the SDP allows a single mode, else None.

    A set of several modes says what the sender may do, not what it did (RFC 4867 section 8.1).

    >>> pinned_bitrate_kbps("AMR-WB", "octet-align=1; mode-set=2")
    12.65
    >>> pinned_bitrate_kbps("AMR-WB", "mode-set=0,2") is None
    True
    """
    modes = _AMR_MODES_KBPS.get(canonical_name(name))
    found = _MODE_SET.search(fmtp)
    if modes is None or found is None:
        return None
    listed = set(found[1].replace(",", " ").split())
    mode = listed.pop() if len(listed) == 1 else ""
    return modes[int(mode)] if len(mode) == 1 and int(mode) < len(modes) else None
