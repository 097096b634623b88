"""A load generator for HEP over UDP on the loopback: `sendmmsg` at a steady rate.

`bench hep` runs it as `python -m surgecast.bench.traffic PORT PER_SECOND SECONDS`.
"""

import ctypes
import json
import socket
import sys
import time

import numpy as np

from collectors.facts import Payload
from collectors.wire.hep import encode_hep3
from surgecast.bench.peers import LOOPBACK
from telephony.model import Endpoint

_BURST = 64
_DATAGRAMS = 2048
_MSG_BYTES = 64  # struct mmsghdr on 64-bit Linux: msg_iov at 16, msg_iovlen at 24

_SIP = (
    "INVITE sip:+4930{number:08d}@sbc{shard}.example.net SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 10.0.{a}.{b}:5060;branch=z9hG4bK{number:08x};rport\r\nMax-Forwards: 69\r\n"
    'From: "Alice" <sip:{number}@example.net>;tag=as{number:08x}\r\nTo: <sip:+4930{number:08d}@example.net>\r\n'
    "Call-ID: {call_id}\r\nCSeq: 102 INVITE\r\nContact: <sip:{number}@10.0.{a}.{b}:5060>\r\n"
    "User-Agent: kamailio\r\nContent-Type: application/sdp\r\nContent-Length: 197\r\n\r\n"
    "v=0\r\no=- 1 1 IN IP4 10.0.{a}.{b}\r\ns=-\r\nc=IN IP4 10.0.{a}.{b}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n"
)
_RTCP = (
    '{{"sender_information":{{"ntp_timestamp_sec":3908988803,"ntp_timestamp_usec":{number},"octets":20000,'
    '"rtp_timestamp":819840,"packets":125}},"ssrc":{number},"type":200,"report_count":1,"report_blocks":'
    '[{{"source_ssrc":{number},"highest_seq_no":7813,"fraction_lost":8,"ia_jitter":24,"packets_lost":8,'
    '"lsr":0,"dlsr":0}}]}}'
)


def datagrams() -> list[bytes]:
    """Return the mix that is sent: one INVITE to three RTCP reports, as a busy relay has it."""
    made = []
    for number in range(_DATAGRAMS):
        a, b = divmod(number % 65_536, 256)
        call_id = f"{number:08x}-4a3b-9c1d@10.0.{a}.{b}"
        is_sip = number % 4 == 0
        text = (_SIP if is_sip else _RTCP).format(
            number=number, shard=number % 7, a=a, b=b, call_id=call_id, port=10_000 + 2 * number
        )
        made.append(
            encode_hep3(
                text.encode(),
                src=Endpoint(f"10.0.{a}.{b}", 5060),
                dst=Endpoint("10.100.0.1", 5060),
                captured_ns=1_700_000_000_000_000_000 + number * 1_000_000,
                payload_type=Payload.SIP if is_sip else Payload.RTCP_JSON,
                node_id=2001,
                correlation_id=call_id,
                auth_key=b"myhep",
            )
        )
    return made


def send(port: int, per_second: float, seconds: float) -> tuple[int, float]:
    """Send to the loopback at a steady rate; 0 is as fast as possible.

    Returns:
        Datagrams sent, and the seconds that took.
    """
    sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
    sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    payloads = datagrams()
    buffer = np.frombuffer(b"".join(payloads), np.uint8)
    lengths = np.array([len(payload) for payload in payloads], np.uint64)
    vectors = np.zeros((len(payloads), 2), np.uint64)
    vectors[:, 0] = buffer.ctypes.data + np.cumsum(lengths) - lengths
    vectors[:, 1] = lengths
    messages = np.zeros((len(payloads), _MSG_BYTES // 8), np.uint64)
    messages[:, 2] = vectors.ctypes.data + np.arange(len(payloads), dtype=np.uint64) * np.uint64(16)
    messages[:, 3] = 1
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        sender.connect((LOOPBACK, port))
        descriptor = sender.fileno()
        started = time.perf_counter()
        while True:
            elapsed = time.perf_counter() - started
            if elapsed >= seconds:
                return sent, elapsed
            if per_second and sent > per_second * elapsed:
                time.sleep(sent / per_second - elapsed)
                continue
            at = sent % _DATAGRAMS
            done = sendmmsg(descriptor, messages.ctypes.data + at * _MSG_BYTES, min(_BURST, _DATAGRAMS - at), 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            sent += done


def main() -> None:
    """Send as the command line says; print datagrams sent and seconds taken as JSON."""
    print(json.dumps(send(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))), flush=True)


if __name__ == "__main__":
    main()
