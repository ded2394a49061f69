"""A real kube-apiserver and etcd on free loopback ports, with certificates of their own; one for a test session."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).parent.parent / "crds"
STARTING_SECONDS = 60.0
NAMES = "DNS:kubernetes,DNS:localhost,IP:127.0.0.1,IP:10.96.0.1"
TOKEN = "treadle-test-token"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running API server, the kubeconfig of its administrator, and its process id."""

    server: str
    kubeconfig: Path
    directory: Path
    apiserver_pid: int

    def request(
        self, method: str, path: str, body: Any = None, content: str = "application/json", accept: str = "*/*"
    ) -> tuple[int, Any]:
        """Ask the API server as administrator; return status and parsed body."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": content, "Accept": accept}
        request = urllib.request.Request(self.server + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context()) as response:
                return response.status, parsed(response.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, parsed(refused.read())

    def install_crds(self) -> None:
        """Install the generated CRDs, and wait until they are served."""
        for file in sorted(CRDS.glob("*.yaml")):
            crd = yaml.safe_load(file.read_text())
            name = crd["metadata"]["name"]
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
            status, answer = self.request("PATCH", f"{path}?fieldManager=tests", crd, "application/apply-patch+yaml")
            if status >= 300:
                raise RuntimeError(f"{file.name}: {answer}")
            until = time.monotonic() + STARTING_SECONDS
            while self.request("GET", f"/apis/treadle.dev/v1alpha1/{crd['spec']['names']['plural']}")[0] != 200:
                if time.monotonic() > until:
                    raise RuntimeError(f"{name} is not served")
                time.sleep(0.05)

    def namespace(self, name: str) -> str:
        """Create a namespace."""
        status, answer = self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        if status not in (201, 409):
            raise RuntimeError(f"namespace {name}: {answer}")
        return name

    def create(self, namespace: str, raw: dict[str, Any]) -> None:
        """Create an object of ours as a person would, then write its status as another pass would."""
        name, place = (
            raw["metadata"]["name"],
            f"/apis/treadle.dev/v1alpha1/namespaces/{namespace}/{raw['kind'].lower()}s",
        )
        body = {**raw, "metadata": {"name": name, "namespace": namespace}}
        status, answer = self.request("POST", f"{place}?fieldValidation=Strict", body)
        if status != 201:
            raise RuntimeError(f"{raw['kind']} {name}: {answer}")
        if "status" in raw:
            self.write_status(f"{place}/{name}", raw["status"])

    def write_status(self, path: str, status: dict[str, Any]) -> None:
        """Write a status as its own controller would."""
        code, answer = self.request("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")
        if code != 200:
            raise RuntimeError(f"{path}: {answer}")

    def watch(self, path: str, tell: Callable[[Any], None], stop: threading.Event) -> None:
        """Tell each event of a watch that begins now, until `stop`; for a thread of its own."""
        request = urllib.request.Request(f"{self.server}{path}?watch=1")
        with urllib.request.urlopen(request, timeout=600, context=self.context()) as response:
            while not stop.is_set() and (line := response.readline()):
                tell(json.loads(line))

    def context(self) -> ssl.SSLContext:
        """Return how to trust the server, and to be its administrator."""
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        context.load_cert_chain(self.directory / "admin.crt", self.directory / "admin.key")
        return context

    def kubeconfig_of(self, name: str, user: Mapping[str, Any]) -> Path:
        """Write a kubeconfig with another user."""
        path = self.directory / f"{name}.kubeconfig"
        path.write_text(json.dumps(config(self.server, self.directory, user)))
        return path


def parsed(body: bytes) -> Any:
    """Return a body as JSON, or as text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def binaries() -> Path | None:
    """Return the directory with etcd and kube-apiserver, or None where they are not built."""
    found = Path(os.environ.get("TREADLE_CACHE", Path.home() / ".cache/treadle")) / "bin"
    return found if all((found / name).exists() for name in ("etcd", "kube-apiserver")) else None


@contextlib.contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """Start etcd and kube-apiserver, yield, and stop both by their process ids."""
    programs = binaries()
    if programs is None:
        raise RuntimeError("etcd and kube-apiserver are not built; run hack/cluster/build.sh etcd kube-apiserver")
    with tempfile.TemporaryDirectory(prefix="treadle-api-") as name, contextlib.ExitStack() as running:
        directory = Path(name)
        certificates(directory)
        client, peer, secure = free_ports(3)
        etcd = f"http://127.0.0.1:{client}"
        running.enter_context(process(directory, "etcd", etcd_command(programs, directory, etcd, peer)))
        server = f"https://127.0.0.1:{secure}"
        command = apiserver_command(programs, directory, etcd, secure)
        apiserver = running.enter_context(process(directory, "kube-apiserver", command))
        admin = {"client-certificate": str(directory / "admin.crt"), "client-key": str(directory / "admin.key")}
        kubeconfig = directory / "admin.kubeconfig"
        kubeconfig.write_text(json.dumps(config(server, directory, admin)))
        plane = ControlPlane(server, kubeconfig, directory, apiserver.pid)
        await_ready(plane, apiserver)
        yield plane


@contextlib.contextmanager
def collectors(plane: ControlPlane) -> Iterator[None]:
    """Run the controllers of garbage and of namespaces beside the server; 100 MB and two seconds."""
    programs = binaries()
    if programs is None or not (programs / "kube-controller-manager").exists():
        raise RuntimeError("run hack/cluster/build.sh kube-controller-manager")
    command = [
        str(programs / "kube-controller-manager"),
        f"--kubeconfig={plane.kubeconfig}",
        "--controllers=garbage-collector-controller,namespace-controller",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    with process(plane.directory, "kube-controller-manager", command):
        yield


def config(server: str, directory: Path, user: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kubeconfig; JSON is YAML."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority": str(directory / "ca.crt")}}
        ],
        "users": [{"name": "user", "user": dict(user)}],
        "contexts": [{"name": "treadle-test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "treadle-test",
    }


def etcd_command(programs: Path, directory: Path, client: str, peer: int) -> list[str]:
    """Return the command of an etcd that need not survive a power cut."""
    peers = f"http://127.0.0.1:{peer}"
    return [
        str(programs / "etcd"),
        *("--data-dir", str(directory / "etcd"), "--unsafe-no-fsync"),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
    ]


def apiserver_command(programs: Path, directory: Path, etcd: str, port: int) -> list[str]:
    """Return the command of an API server with RBAC, on the loopback interface only."""
    return [
        str(programs / "kube-apiserver"),
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--client-ca-file={directory}/ca.crt",
        f"--tls-cert-file={directory}/apiserver.crt",
        f"--tls-private-key-file={directory}/apiserver.key",
        f"--service-account-key-file={directory}/sa.pub",
        f"--service-account-signing-key-file={directory}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={directory}/tokens.csv",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        "--max-requests-inflight=1000",
        "--max-mutating-requests-inflight=500",
    ]


def certificates(directory: Path) -> None:
    """Make a certificate authority, the server's certificate and the administrator's."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=treadle-test-ca",
            "-keyout", f"{directory}/ca.key", "-out", f"{directory}/ca.crt",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    for name, subject, names in (
        ("apiserver", "/CN=kube-apiserver", f"subjectAltName={NAMES}\n"),
        ("admin", "/O=system:masters/CN=admin", ""),
    ):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject,
                "-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.csr")  # fmt: skip
        extensions = directory / f"{name}.ext"
        extensions.write_text(
            "extendedKeyUsage=clientAuth,serverAuth\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n" + names
        )
        openssl("x509", "-req", "-days", "2", "-in", f"{directory}/{name}.csr", "-out", f"{directory}/{name}.crt",
                "-CA", f"{directory}/ca.crt", "-CAkey", f"{directory}/ca.key", "-CAcreateserial",
                "-extfile", str(extensions))  # fmt: skip
    openssl("genrsa", "-out", f"{directory}/sa.key", "2048")
    openssl("rsa", "-in", f"{directory}/sa.key", "-pubout", "-out", f"{directory}/sa.pub")
    (directory / "tokens.csv").write_text(f"{TOKEN},tester,tester\n")


def openssl(*arguments: str) -> None:
    """Run openssl, quietly unless it fails."""
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def process(directory: Path, name: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with its output in a file; stop this very process at the end."""
    with (directory / f"{name}.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=directory)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def await_ready(plane: ControlPlane, apiserver: subprocess.Popen[bytes]) -> None:
    """Wait until the API server answers /readyz, or fail with the end of its log."""
    until = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < until and apiserver.poll() is None:
        with contextlib.suppress(OSError):
            if plane.request("GET", "/readyz")[0] == 200:
                return
        time.sleep(0.1)
    tail = (plane.directory / "kube-apiserver.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"kube-apiserver did not become ready:\n{tail}")
