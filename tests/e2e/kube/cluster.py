"""A real kube-apiserver with its controllers on loopback, for the tests of the Kubernetes edge.

No kubelet and no scheduler run: pods that the ReplicaSet controller makes are moved to ready by the test.
"""

import ipaddress
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from ports import free_port

_READY_SECONDS = 90.0


class Certificates:
    """A certificate authority and what it signed, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._ca = self._signed("ca", "", self._key, None)
        self._write("ca", self._ca, None)

    def issue(self, file: str, name: str, group: str, usage: ObjectIdentifier) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(file, self._signed(name, group, key, usage), key)

    def _signed(
        self, name: str, group: str, key: ec.EllipticCurvePrivateKey, usage: ObjectIdentifier | None
    ) -> x509.Certificate:
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if group:
            attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        subject = x509.Name(attributes)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._ca.subject if usage else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
        )
        if usage is not None:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> None:
        (self.folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        if key is not None:
            write_key(self.folder / f"{file}.key", key)


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


class Cluster:
    """etcd, kube-apiserver and kube-controller-manager as processes."""

    def __init__(self, folder: Path, programs: Path, etcd: str) -> None:
        self.folder, self._programs = folder, programs
        self._processes: list[subprocess.Popen[bytes]] = []
        self._certify()
        etcd_port, peer_port, self._port = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        client, peer = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
        self._run(
            etcd, "--data-dir", str(folder / "etcd"), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        )  # fmt: skip
        self._api_command = [
            str(programs / "kube-apiserver"),
            f"--etcd-servers={client}",
            f"--cert-dir={folder}",
            f"--tls-cert-file={folder}/apiserver.crt",
            f"--tls-private-key-file={folder}/apiserver.key",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--client-ca-file={folder}/ca.crt",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
            f"--service-account-issuer={self.url}/",
            f"--service-account-key-file={folder}/sa.key",
            f"--service-account-signing-key-file={folder}/sa.key",
            "--endpoint-reconciler-type=none",
        ]
        self.start_api()
        self._run(
            str(programs / "kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig('admin')}",
            "--controllers=deployment-controller,replicaset-controller,statefulset-controller,"
            "garbage-collector-controller",
            "--leader-elect=false",
            "--secure-port=0",
            f"--service-account-private-key-file={folder}/sa.key",
            f"--root-ca-file={folder}/ca.crt",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )

    def _certify(self) -> None:
        certificates = Certificates(self.folder)
        certificates.issue("apiserver", "kube-apiserver", "", ExtendedKeyUsageOID.SERVER_AUTH)
        certificates.issue("admin", "admin", "system:masters", ExtendedKeyUsageOID.CLIENT_AUTH)
        certificates.issue("stranger", "stranger", "", ExtendedKeyUsageOID.CLIENT_AUTH)
        write_key(self.folder / "sa.key", ec.generate_private_key(ec.SECP256R1()))

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        self._processes.append(process)
        return process

    def start_api(self) -> None:
        """Start the API server and wait until it is ready."""
        self._api = self._run(*self._api_command)
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        context.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._api.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", context=context, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        self.close()
        raise TimeoutError(f"no API server: {(self.folder / 'kube-apiserver.log').read_text()[-2000:]}")

    def stop_api(self) -> None:
        """Kill the API server."""
        self._api.kill()
        self._api.wait()

    def kubeconfig(self, user: str) -> Path:
        """Return a kubeconfig of a user."""
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
                    "clusters": [
                        {
                            "name": "test",
                            "cluster": {"server": self.url, "certificate-authority": f"{self.folder}/ca.crt"},
                        }
                    ],
                    "users": [
                        {
                            "name": user,
                            "user": {
                                "client-certificate": f"{self.folder}/{user}.crt",
                                "client-key": f"{self.folder}/{user}.key",
                            },
                        }
                    ],
                }
            )
        )
        return path

    def close(self) -> None:
        """End every process."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()


def programs() -> Path | None:
    """Return where the built programs are, None where nobody built them."""
    version = next(
        line.split()[-1]
        for line in (Path(__file__).parents[2] / "kube" / "go.mod").read_text().splitlines()
        if line.startswith("require k8s.io/kubernetes ")
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    found = cache / "surgecast" / f"kubernetes-{version}"
    return found if (found / "kube-controller-manager").exists() else None
