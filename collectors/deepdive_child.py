"""The child process of a deep dive: reads one capture file with pyshark and tshark, prints one JSON object.

Run by `collectors.deepdive`, which bounds it; nothing else imports this. Signalling and RTCP go through pyshark,
packet by packet; streams and remarks come from tshark's own statistics, which count all packets.
"""

import json
import re
import subprocess
import sys
from typing import Any

_DISSECT = ["-n", "--enable-heuristic", "rtp_udp", "--enable-heuristic", "rtcp_udp"]
"""No name look-ups; media is recognised where no SDP announced it."""
_KINDS = {
    "200": "SR",
    "201": "RR",
    "202": "SDES",
    "203": "BYE",
    "204": "APP",
    "205": "RTPFB",
    "206": "PSFB",
    "207": "XR",
}
_STREAM = re.compile(
    r"\s*[\d.]+\s+[\d.]+\s+(?P<src>\S+)\s+(?P<src_port>\d+)\s+(?P<dst>\S+)\s+(?P<dst_port>\d+)\s+0x(?P<ssrc>[0-9A-Fa-f]+)"
    r"\s+(?P<payload>.+?)\s+(?P<packets>\d+)\s+(?P<lost>-?\d+)\s+\((?P<percent>-?[\d.]+)%\)\s+-?[\d.]+\s+(?P<mean_delta>-?[\d.]+)"
    r"\s+(?P<max_delta>-?[\d.]+)\s+-?[\d.]+\s+(?P<mean_jitter>-?[\d.]+)\s+(?P<max_jitter>-?[\d.]+)\s*(?P<problems>X?)\s*$"
)
_SEVERITY = re.compile(r"(Errors|Warns|Notes|Chats) \(\d+\)")
_EXPERT = re.compile(r"\s*(?P<count>\d+)\s+(?P<group>\S+)\s+(?P<protocol>\S+)\s+(?P<summary>.*\S)\s*$")


class _Full(Exception):
    """As many facts as are wanted are listed."""


def main(path: str, tshark: str, limit: int) -> dict[str, Any]:
    """Return what is known of a capture file, or what went wrong."""
    try:
        import pyshark
        from pyshark.capture.capture import TSharkCrashException
    except MemoryError:
        return {"trouble": "too_much_memory", "why": "no memory to begin with"}
    except ImportError as error:
        return {"trouble": "no_pyshark", "why": f"pyshark cannot be loaded: {error}"}
    found: dict[str, Any] = {"sip": [], "sdp": [], "rtcp": [], "cut": False}
    try:
        found["tool"] = " ".join(_tshark(tshark, "--version").split("\n", 1)[0].split()[:3]).removesuffix(".")
        capture = pyshark.FileCapture(
            path,
            display_filter="sip or rtcp",
            keep_packets=False,
            tshark_path=tshark,
            custom_parameters=_DISSECT,
        )
        try:
            for packet in capture:
                _take(packet, found, limit)
        except _Full:
            found["cut"] = True
        finally:
            capture.close()
        statistics = _tshark(tshark, "-r", path, "-q", *_DISSECT, "-z", "rtp,streams", "-z", "expert")
    except MemoryError:
        return {"trouble": "too_much_memory", "why": "it needs more memory than it may use"}
    except TSharkCrashException as error:
        return {"trouble": "failed", "why": str(error)[:500]}
    except subprocess.CalledProcessError as error:
        return {
            "trouble": "failed",
            "why": (error.stderr or "").strip()[-500:] or f"it ended with {error.returncode}",
        }
    return found | {"streams": _streams(statistics), "experts": _experts(statistics)}


def _tshark(tshark: str, *arguments: str) -> str:
    return subprocess.run(
        [tshark, *arguments], capture_output=True, text=True, check=True, errors="replace"
    ).stdout


def _take(packet: Any, found: dict[str, Any], limit: int) -> None:
    if max(len(found[name]) for name in ("sip", "sdp", "rtcp")) >= limit:
        raise _Full
    place = {"number": int(packet.number), "time_ns": _ns(str(packet.sniff_timestamp))}
    src, dst = _ends(packet)
    for layer in packet.layers:
        if layer.layer_name == "sip":
            found["sip"].append(place | {"src": src, "dst": dst} | _sip(layer))
            found["sdp"] += [{"number": place["number"], "src": src, "text": text} for text in _sdp(layer)]
        elif layer.layer_name == "rtcp":
            found["rtcp"].append(place | {"src": src, "dst": dst} | _rtcp(layer))


def _ns(timestamp: str) -> int:
    seconds, _, fraction = timestamp.partition(".")
    return int(seconds) * 1_000_000_000 + int((fraction + "000000000")[:9])


def _ends(packet: Any) -> tuple[str, str]:
    network = next((layer for layer in packet.layers if layer.layer_name in ("ip", "ipv6")), None)
    transport = next((layer for layer in packet.layers if layer.layer_name in ("udp", "tcp")), None)
    ends = []
    for side in ("src", "dst"):
        ip = _text(network, side)
        ends.append(f"{f'[{ip}]' if ':' in ip else ip}:{_text(transport, f'{side}port')}")
    return ends[0], ends[1]


def _text(layer: Any, name: str) -> str:
    value = layer.get_field_value(name) if layer is not None else None
    return "" if value is None else str(value)


def _number(layer: Any, name: str) -> int | None:
    text = _text(layer, name)
    try:
        return int(text, 0)
    except ValueError:
        return None


def _sip(layer: Any) -> dict[str, Any]:
    what = _text(layer, "request_line") or _text(layer, "status_line")
    return {
        "what": what.removesuffix(" SIP/2.0").removeprefix("SIP/2.0 "),
        "cseq": _text(layer, "cseq"),
        "call_id": _text(layer, "call_id"),
        "resent": _text(layer, "resend") in ("1", "True"),
    }


def _sdp(layer: Any) -> list[str]:
    """Return the lines of a session description that tell of media; pyshark keeps them with the SIP around."""
    lines = []
    for name, letter in (("owner", "o"), ("connection_info", "c"), ("media", "m"), ("media_attr", "a")):
        field = layer.get_field(f"sdp_{name}")
        lines += [f"{letter}={each.get_default_value()}" for each in field.all_fields] if field is not None else []
    return lines


def _rtcp(layer: Any) -> dict[str, Any]:
    kind = _text(layer, "pt")
    return {
        "kind": _KINDS.get(kind, kind),
        "sender_ssrc": _number(layer, "senderssrc"),
        "source_ssrc": _number(layer, "ssrc_identifier"),
        "fraction_lost": _number(layer, "ssrc_fraction"),
        "cumulative_lost": _number(layer, "ssrc_cum_nr"),
        "jitter_ticks": _number(layer, "ssrc_jitter"),
        "round_trip_ms": _number(layer, "roundtrip_delay"),
    }


def _streams(statistics: str) -> list[dict[str, Any]]:
    found = (_STREAM.match(line) for line in statistics.split("\n"))
    return [
        {
            "src": f"{m['src']}:{m['src_port']}",
            "dst": f"{m['dst']}:{m['dst_port']}",
            "ssrc": int(m["ssrc"], 16),
            "payload": m["payload"],
            "packets": int(m["packets"]),
            "lost": int(m["lost"]),
            "lost_ratio": float(m["percent"]) / 100,
            "mean_delta_ms": float(m["mean_delta"]),
            "max_delta_ms": float(m["max_delta"]),
            "mean_jitter_ms": float(m["mean_jitter"]),
            "max_jitter_ms": float(m["max_jitter"]),
            "problems": bool(m["problems"]),
        }
        for m in found
        if m is not None
    ]


def _experts(statistics: str) -> list[dict[str, Any]]:
    found, severity = [], ""
    for line in statistics.split("\n"):
        heading = _SEVERITY.match(line)
        if heading is not None:
            severity = heading[1].lower().removesuffix("s")
        elif line.startswith("===") and "RTP" in line:
            severity = ""
        elif severity and (match := _EXPERT.match(line)) is not None:
            found.append({"severity": severity, **match.groupdict(), "count": int(match["count"])})
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
