"""HEP over TCP and TLS on real sockets of the loopback, with good peers and bad ones."""

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hep_support import datagram, text

from collectors.capture.base import CaptureError
from collectors.capture.hepstream import HepStreamSource, server_context
from collectors.facts import DatagramBatch
from collectors.wire.hep import HepParser, encode_hep1
from telephony.model import Endpoint

PATIENCE_SECONDS = 60.0


class Collected:
    """Collects payloads, and waits for a number of them."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._changed = threading.Condition()

    def __call__(self, batch: DatagramBatch) -> None:
        with self._changed:
            self.payloads.extend(text(batch, row, "payload") for row in range(len(batch.rows)))
            self._changed.notify_all()

    def wait(self, count: int) -> list[bytes]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.payloads) >= count, PATIENCE_SECONDS)
        return self.payloads


@contextmanager
def serving(source: HepStreamSource, sink: Callable[[DatagramBatch], None]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=source.run, args=(sink, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def connect(source: HepStreamSource, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, source.port), timeout=PATIENCE_SECONDS)


def counted(source: HepStreamSource, reason: str) -> bool:
    """Wait until the server has counted a reason once; the peer may know before."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.02)):
        if source.stats().errors[reason] == 1:
            return True
        waiting.wait(0.02)
    return False


def closed_by_peer(peer: socket.socket) -> bool:
    """Wait until the other side closes the connection."""
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_frames_are_cut_out_however_the_bytes_are_split(size: int) -> None:
    frames = b"".join(datagram(f"{number}".encode() * 20) for number in range(30))
    collected = Collected()
    source = HepStreamSource("127.0.0.1", 0, HepParser())
    with serving(source, collected), connect(source) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(frames), size):
            peer.sendall(frames[at : at + size])
        found = list(collected.wait(30))
    assert [f"{number}".encode() * 20 for number in range(30)] == found


def test_the_longest_frame_passes() -> None:
    collected = Collected()
    source = HepStreamSource("::", 0, HepParser())
    payload = bytes(65_535 - len(datagram(b"")))
    with serving(source, collected), connect(source) as peer:
        peer.sendall(datagram(payload))
        assert [payload] == collected.wait(1)


def test_several_connections_do_not_mix() -> None:
    collected = Collected()
    source = HepStreamSource("127.0.0.1", 0, HepParser())
    one, two = datagram(b"one"), datagram(b"two")
    with serving(source, collected), connect(source) as first, connect(source) as second:
        first.sendall(one[:50])
        second.sendall(two[:70])
        first.sendall(one[50:])
        second.sendall(two[70:])
        found = sorted(collected.wait(2))
    assert [b"one", b"two"] == found


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "bad_magic"),
        (encode_hep1(b"X", src=Endpoint("10.0.0.1", 1), dst=Endpoint("10.0.0.2", 2)), "bad_magic"),
        (b"HEP3\0\5", "bad_length"),
    ],
)
def test_garbage_closes_the_connection_after_the_frames_before_it(sent: bytes, reason: str) -> None:
    collected = Collected()
    source = HepStreamSource("127.0.0.1", 0, HepParser())
    with serving(source, collected), connect(source) as peer:
        peer.sendall(datagram(b"good") + sent)
        closed = closed_by_peer(peer)
    found = (closed, collected.payloads, dict(source.stats().errors))
    assert (True, [b"good"], {reason: 1}) == found


def test_a_malformed_frame_is_counted_and_the_connection_goes_on() -> None:
    collected = Collected()
    source = HepStreamSource("127.0.0.1", 0, HepParser())
    with serving(source, collected), connect(source) as peer:
        peer.sendall(b"HEP3\0\x08\0\0" + datagram(b"good"))
        found = list(collected.wait(1))
    assert ([b"good"], 1) == (found, source.stats().errors["chunk_length"])


def test_a_slow_peer_loses_its_connection_while_others_are_served() -> None:
    collected = Collected()
    source = HepStreamSource("127.0.0.1", 0, HepParser(), frame_timeout_seconds=0.2)
    with serving(source, collected), connect(source) as slow, connect(source) as quick:
        slow.sendall(datagram()[:20])
        quick.sendall(datagram(b"quick"))
        served = list(collected.wait(1))
        closed = closed_by_peer(slow)
        quick.sendall(datagram(b"again"))
        served = list(collected.wait(2))
    assert (True, [b"quick", b"again"], 1) == (closed, served, source.stats().errors["frame_timeout"])


def test_a_silent_peer_loses_its_connection() -> None:
    source = HepStreamSource("127.0.0.1", 0, HepParser(), idle_timeout_seconds=0.1)
    with serving(source, Collected()), connect(source) as peer:
        closed = closed_by_peer(peer)
    assert (True, 1) == (closed, source.stats().errors["idle_timeout"])


def test_connections_beyond_the_bound_are_refused_and_a_freed_place_is_used_again() -> None:
    collected = Collected()
    source = HepStreamSource("127.0.0.1", 0, HepParser(), max_connections=1)
    with serving(source, collected):
        with connect(source) as first:
            first.sendall(datagram(b"first"))
            collected.wait(1)
            with connect(source) as second:
                refused = closed_by_peer(second)
        while len(collected.payloads) == 1:  # until the server has seen the first one go
            with connect(source) as third:
                third.sendall(datagram(b"third"))
                closed_or_served(third, collected)
    assert (True, b"third") == (refused, collected.payloads[1])


def closed_or_served(peer: socket.socket, collected: Collected) -> None:
    peer.settimeout(0.05)
    for _ in range(int(PATIENCE_SECONDS / 0.05)):
        with suppress(TimeoutError):
            closed_by_peer(peer)
            return
        if len(collected.payloads) == 2:
            return
    raise TimeoutError("neither closed nor served")


def test_a_peer_that_leaves_in_the_middle_of_a_frame_is_counted() -> None:
    collected = Collected()
    source = HepStreamSource("127.0.0.1", 0, HepParser())
    with serving(source, collected), connect(source) as peer:
        peer.sendall(datagram(b"whole") + datagram(b"cut")[:-2])
        collected.wait(1)
        peer.shutdown(socket.SHUT_WR)
        assert counted(source, "truncated_stream")


def test_senders_of_exempt_networks_need_no_key() -> None:
    collected = Collected()
    parser = HepParser({b"k": "t"}, require_auth=True, auth_exempt_networks=["127.0.0.0/8"])
    source = HepStreamSource("127.0.0.1", 0, parser)
    with serving(source, collected), connect(source) as peer:
        peer.sendall(datagram(b"exempt"))
        assert [b"exempt"] == collected.wait(1)


# --- TLS ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority and a server and a client certificate of it."""
    folder = tmp_path_factory.mktemp("certificates")
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = certificate("authority", authority_key, None, authority_key)
    (folder / "ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        signed = certificate(name, key, authority, authority_key)
        (folder / f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return folder


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(key_usage(is_authority=issuer is None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def key_usage(*, is_authority: bool) -> x509.KeyUsage:
    """What RFC 5280 section 4.2.1.3 asks of an authority; Python 3.13 insists on it."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def client_context(certificates: Path, *, shows_certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    if shows_certificate:
        context.load_cert_chain(certificates / "client.crt", certificates / "client.key")
    return context


def tls_source(
    certificates: Path, parser: HepParser, *, client_ca: bool = False, **limits: float
) -> HepStreamSource:
    authority = certificates / "ca.crt" if client_ca else None
    context = server_context(certificates / "server.crt", certificates / "server.key", authority)
    return HepStreamSource("127.0.0.1", 0, parser, tls=context, **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize("client_ca", [False, True])
def test_frames_come_through_tls(certificates: Path, client_ca: bool) -> None:
    collected = Collected()
    source = tls_source(certificates, HepParser(), client_ca=client_ca)
    context = client_context(certificates, shows_certificate=client_ca)
    with (
        serving(source, collected),
        connect(source) as peer,
        context.wrap_socket(peer, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"".join(datagram(bytes(5000)) for _ in range(20)))
        found = len(collected.wait(20))
    assert 20 == found


def test_a_client_without_a_certificate_is_refused_where_one_is_asked_for(certificates: Path) -> None:
    collected = Collected()
    source = tls_source(certificates, HepParser(), client_ca=True)
    context = client_context(certificates, shows_certificate=False)
    with serving(source, collected), connect(source) as peer:
        refused = refused_by_tls(peer, context) and counted(source, "handshake_failed")
    assert (True, []) == (refused, collected.payloads)


def refused_by_tls(peer: socket.socket, context: ssl.SSLContext) -> bool:
    """With TLS 1.3 the refusal may come after the client's side of the handshake."""
    try:
        with context.wrap_socket(peer, server_hostname="localhost") as secured:
            secured.sendall(datagram())
            return secured.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_a_peer_that_never_shakes_hands_is_closed_while_others_are_served(certificates: Path) -> None:
    collected = Collected()
    source = tls_source(certificates, HepParser(), handshake_timeout_seconds=0.2)
    context = client_context(certificates, shows_certificate=False)
    with (
        serving(source, collected),
        connect(source) as silent,
        connect(source) as peer,
        context.wrap_socket(peer, server_hostname="localhost") as secured,
    ):
        secured.sendall(datagram(b"served"))
        collected.wait(1)
        closed = closed_by_peer(silent) and counted(source, "handshake_failed")
    assert closed


def test_peers_in_the_handshake_count_among_the_connections(certificates: Path) -> None:
    source = tls_source(certificates, HepParser(), max_connections=1, handshake_timeout_seconds=PATIENCE_SECONDS)
    with serving(source, Collected()), connect(source), connect(source) as second:
        assert closed_by_peer(second)


def test_plain_bytes_on_the_tls_port_are_refused(certificates: Path) -> None:
    source = tls_source(certificates, HepParser())
    with serving(source, Collected()), connect(source) as peer:
        peer.sendall(datagram())
        assert counted(source, "handshake_failed")


def test_a_missing_certificate_is_a_capture_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="TLS of the HEP listener"):
        server_context(tmp_path / "no.crt", tmp_path / "no.key", None)


def test_a_taken_port_is_a_capture_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(CaptureError, match="Address already in use"),
    ):
        HepStreamSource("127.0.0.1", taken.getsockname()[1], HepParser())
