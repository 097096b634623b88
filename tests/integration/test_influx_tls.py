"""InfluxDB over TLS with an authority of our own: what is wrong is named, and nothing is lost meanwhile."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cli_runner import surgecast
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from influx_servers import (
    ORG,
    PATIENCE,
    TOKEN,
    Certificate,
    InfluxServer,
    influxd1,
    influxd2,
    require_influxd2,
    set_up,
)

from storage.influx.admin import init
from storage.influx.store import InfluxStore
from storage.rows import batch
from storage.schema import MEASUREMENTS
from storage.seam import Scope, StoreError, Window
from storage.settings import StorageSettings

NOW = 1_790_000_040_000_000_000
_DAY = timedelta(days=1)


class Authority:
    """Signs certificates of 127.0.0.1."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = root / f"{name}.pem"
        own = self._signed(self._name, self._key, _DAY, None)
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str, lasts: timedelta = _DAY, host: str = "127.0.0.1") -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        files = Certificate(self._root / f"{name}.pem", self._root / f"{name}.key")
        signed = self._signed(subject, key, lasts, host)
        files.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta, host: str | None
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + lasts)
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if host is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


def settings_of(url: str, spool: Path, **influx: object) -> StorageSettings:
    return StorageSettings.model_validate(
        {
            "url": url,
            "retention": {name: {"age": "36500d"} for name in MEASUREMENTS},
            "influx": {"backoff": 0.05, "backoff_max": 0.2} | PATIENCE | influx,
            "spool": {"directory": str(spool)},
        }
    )


def minutes(count: int) -> list[dict[str, object]]:
    tags = {"tenant": "acme", "trunk": "carrier", "region": "eu", "node": "edge-1"}
    return [{"time": NOW + i * 60 * 10**9, "attempts": i, **tags} for i in range(count)]


def attempts_in(store: InfluxStore) -> list[int]:
    window = Window(NOW, NOW + 3600 * 10**9)
    found: list[int] = (
        store.reader(Scope.everything("engineer"))
        .select("session_minute", window, columns=["attempts"])["attempts"]
        .to_pylist()
    )
    return found


@pytest.fixture(params=["1.x", "2.x"])
def started(
    request: pytest.FixtureRequest, tmp_path: Path, require_program: Callable[[str], str]
) -> Iterator[Callable[[Certificate | None], tuple[InfluxServer, dict[str, object]]]]:
    """Return what starts a server with a certificate, and the settings it wants."""
    running: list[InfluxServer] = []

    def start(tls: Certificate | None) -> tuple[InfluxServer, dict[str, object]]:
        (tmp_path / "server").mkdir()
        if request.param == "1.x":
            server = influxd1(require_program("influxd"), tmp_path / "server", tls=tls)
        else:
            server = influxd2(require_influxd2(), tmp_path / "server", tls=tls)
        server.start()
        running.append(server)
        if request.param == "1.x":
            return server, {}
        set_up(server)
        return server, {"org": ORG, "token": TOKEN}

    yield start
    for server in running:
        server.kill()


@pytest.mark.timeout(120)
def test_rows_go_and_come_back_by_tls(
    started: Callable[[Certificate], tuple[InfluxServer, dict[str, object]]], authority: Authority, tmp_path: Path
) -> None:
    server, influx = started(authority.certificate("good"))
    url = f"influxs://127.0.0.1:{server.port}/surgecast"
    settings = settings_of(url, tmp_path / "spool", ca_file=str(authority.file), **influx)
    init(settings)
    store = InfluxStore(url, settings)
    writer = store.writer("collect")
    writer.write("session_minute", batch("session_minute", minutes(3)))
    writer.flush()
    found, requests = attempts_in(store), writer.health().requests
    store.close()
    assert ([0, 1, 2], {"written": 1}) == (found, requests)


FAULTS = {
    "another authority's": ("influxs", "other", "is not trusted"),
    "expired": ("influxs", "expired", "has expired: renew it on the server"),
    "another host's": ("influxs", "elsewhere", "is another host's"),
    "no TLS at the server": ("influxs", "none", "does not speak TLS: write influx://"),
    "no TLS at the client": ("influx", "good", "speaks TLS only: write influxs://"),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_tls_is_named_and_loses_nothing(
    started: Callable[[Certificate | None], tuple[InfluxServer, dict[str, object]]],
    authority: Authority,
    tmp_path: Path,
    fault: str,
) -> None:
    scheme, kind, says = FAULTS[fault]
    certificates: dict[str, Callable[[], Certificate | None]] = {
        "other": lambda: Authority(tmp_path, "theirs").certificate("other"),
        "expired": lambda: authority.certificate("expired", -_DAY),
        "elsewhere": lambda: authority.certificate("elsewhere", host="192.0.2.1"),
        "none": lambda: None,
        "good": lambda: authority.certificate("good"),
    }
    server, influx = started(certificates[kind]())
    url = f"{scheme}://127.0.0.1:{server.port}/surgecast"
    spool = tmp_path / "spool"
    settings = settings_of(url, spool, ca_file=str(authority.file), **influx)
    with pytest.raises(StoreError, match=says):
        init(settings)
    store = InfluxStore(url, settings)
    writer = store.writer("collect")
    writer.write("session_minute", batch("session_minute", minutes(3)))
    writer.flush()
    health = writer.health()
    with pytest.raises(StoreError, match=says):
        attempts_in(store)
    store.close()
    assert (3, {}, 0) == (health.spool_rows, dict(health.rows_rejected), health.rows_shed)
    assert {"tls_failed"} == set(health.requests)

    config = tmp_path / "surgecast.yaml"
    told = {"url": url, "influx": {"ca_file": str(authority.file)} | influx, "spool": {"directory": str(spool)}}
    config.write_text(json.dumps({"storage": told}))
    asked = surgecast("query", "call", "-c", config)
    assert (5, True) == (asked.code, says in " ".join(asked.err.split()))
    doctor = surgecast("doctor", "-c", config, "--json")
    assert (6, True) == (
        doctor.code,
        says in next(c["why"] for c in doctor.json["checks"] if c["check"] == "store"),
    )

    # The right settings, and what waited goes.
    right = {"scheme": "influxs" if kind != "none" else "influx", "verify_tls": kind in ("none", "good")}
    url = f"{right['scheme']}://127.0.0.1:{server.port}/surgecast"
    checked = {"ca_file": str(authority.file)} if right["verify_tls"] else {"verify_tls": False}
    settings = settings_of(url, spool, **checked, **influx)
    init(settings)
    store = InfluxStore(url, settings)
    store.writer("collect").close()
    found = attempts_in(store)
    store.close()
    assert [0, 1, 2] == found


def test_a_file_of_certificates_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path, says in ((tmp_path / "none.pem", "No such file"), (empty, "there is no certificate in it")):
        settings = settings_of("influxs://127.0.0.1:1/surgecast", tmp_path / "spool", ca_file=str(path))
        with pytest.raises(StoreError, match=says):
            InfluxStore(settings.url, settings)
