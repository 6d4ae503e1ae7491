"""`modelendpoint run` as a user meets it: a real process, a real Ray, real HTTP."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from modelendpoint_operator.local.machine import this_machine
from modelendpoint_operator.local.ray import start_ray
from tests.support.command import Command, free_port, started
from tests.support.models import tiny_classifier, tiny_encoder, tiny_lm

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

ENDPOINT = """\
apiVersion: serving.modelendpoint.dev/v1alpha1
kind: ModelEndpoint
metadata: {{name: laptop}}
spec:
  models:
  - name: sentiment
    task: text-classification
    source: {{uri: "file://{models}/classifier"}}
    parameters: {{{parameters}}}
    resources: {{cpu: 250m, memory: 512Mi}}
    drainTimeout: 1s
"""
MORE = """\
  - name: embed
    task: feature-extraction
    source: {{uri: "file://{models}/encoder"}}
    probe: {{expect: {{dimensions: 32}}}}
    resources: {{cpu: 250m, memory: 512Mi, gpu: 1}}
  - name: chat
    task: text-generation
    source: {{uri: "file://{models}/lm"}}
    resources: {{cpu: 250m, memory: 512Mi}}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_classifier(folder / "classifier")
    tiny_encoder(folder / "encoder")
    tiny_lm(folder / "lm")
    return folder


@pytest.fixture
def file(tmp_path: Path, models: Path) -> Path:
    path = tmp_path / "endpoint.yaml"
    path.write_text(ENDPOINT.format(models=models, parameters=""))
    return path


@pytest.fixture
def three_models(tmp_path: Path, models: Path) -> Path:
    path = tmp_path / "three.yaml"
    path.write_text((ENDPOINT + MORE).format(models=models, parameters=""))
    return path


def predict(port: int, **body: Any) -> dict[str, Any]:
    reply = httpx.post(f"http://127.0.0.1:{port}/predict", json=body, timeout=30)
    assert reply.status_code == 200, reply.text
    prediction: dict[str, Any] = reply.json()["prediction"]
    return prediction


def assert_nothing_is_left(command: Command, folder: Path, ports: set[tuple[str, int]]) -> None:
    assert command.processes() == []
    assert not folder.exists()
    for address in ports:
        with closing(socket.socket()) as probe:
            assert probe.connect_ex(address) != 0, address


def test_serves_on_loopback_and_leaves_nothing_behind(three_models: Path, tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, "run", three_models, "--port", str(port)) as command:
        command.wait_for("Ctrl-C stops it")
        lines = [line for line in command.output.splitlines() if line.startswith("curl ")]
        assert len(lines) == 3
        for line in lines:
            answer = subprocess.run(f"{line} -sf", shell=True, capture_output=True, text=True, check=False)
            assert answer.returncode == 0, (line, answer.stdout)
            assert answer.stdout.startswith("{")
        if not this_machine().gpus:
            assert "embed: asks for 1 GPU" in command.output
        ports, folder = command.ports(), command.folder()
        assert {address for address, _ in ports} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        started_to_stop = time.monotonic()
        assert command.interrupt(times=3) == 0
        assert time.monotonic() - started_to_stop < 10
        assert_nothing_is_left(command, folder, ports)


def test_once_asks_every_model_and_stops(three_models: Path, tmp_path: Path) -> None:
    with started(tmp_path, "run", "--once", three_models, "--port", str(free_port())) as command:
        assert command.wait() == 0, command.output
        for name in ("sentiment", "embed", "chat"):
            assert re.search(rf"^{name} +default .*\d ms$", command.output, re.MULTILINE), command.output
        assert "32 numbers" in command.output
        assert command.processes() == []


def test_a_model_that_cannot_be_loaded_ends_it_with_one_sentence(file: Path, tmp_path: Path) -> None:
    file.write_text(file.read_text().replace("/classifier", "/nowhere"))
    with started(tmp_path, "run", file, "--port", str(free_port())) as command:
        assert command.wait() == 1
        last = command.output.splitlines()[-1]
        assert last.startswith("sentiment cannot be served: ")
        assert "nowhere" in last
        assert "Traceback" not in command.output
        assert command.processes() == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ENDPOINT.replace("text-classification", "sorcery"), r"endpoint.yaml:\d+:\d+: spec.models\[0\].task"),
        (ENDPOINT + "---\n" + ENDPOINT.replace("laptop", "other"), r"several endpoints \(laptop, other\)"),
        (ENDPOINT + "  suspend: true\n", "spec.suspend is true"),
    ],
)
def test_a_file_that_cannot_be_run(file: Path, tmp_path: Path, content: str, words: str) -> None:
    file.write_text(content.format(models="/models", parameters=""))
    with started(tmp_path, "run", file) as command:
        assert command.wait() == 1
        assert re.search(words, command.output), command.output
        assert "Traceback" not in command.output


def test_a_port_in_use_is_said_before_anything_starts(file: Path, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        with started(tmp_path, "run", file, "--port", str(port)) as command:
            assert command.wait() == 1
            assert command.output == f"Port {port} is in use; choose another one with --port.\n"


def test_edits_are_applied_to_running_replicas(file: Path, tmp_path: Path, models: Path) -> None:
    port = free_port()
    with started(tmp_path, "run", "--watch", file, "--port", str(port)) as command:
        command.wait_for("Ctrl-C stops it")
        before = command.replicas("sentiment--default")
        assert "labels" not in predict(port, text="a good film")

        file.write_text("spec: [")
        command.wait_for("What ran before keeps running.")
        assert re.search(r"endpoint.yaml:\d+:\d+: ", command.output)
        assert "label" in predict(port, text="a good film")

        file.write_text(ENDPOINT.format(models=models, parameters="top_k: 2"))
        command.wait_for("Applied.")
        assert "sentiment--default: parameters changed, in the running replicas." in command.output
        assert len(predict(port, text="a good film")["labels"]) == 2
        assert command.replicas("sentiment--default") == before

        file.write_text(
            ENDPOINT.format(models=models, parameters="top_k: 2").replace("/classifier", "/nowhere")
        )
        command.wait_for("sentiment cannot be served")
        command.wait_for("What ran before keeps running.", count=2)
        assert len(predict(port, text="a good film")["labels"]) == 2

        assert command.interrupt() == 0


def test_two_runs_side_by_side_and_kill_9(file: Path, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    first = started(tmp_path, "run", file, "--port", str(ports[0]))
    second = started(tmp_path, "run", file, "--port", str(ports[1]))
    with first as killed, second as other:
        for command in (killed, other):
            command.wait_for("Ctrl-C stops it")
        folder, listening = killed.folder(), killed.ports()
        killed.process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 15
        while killed.processes() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert_nothing_is_left(killed, folder, listening)
        assert "label" in predict(ports[1], text="a good film")
        assert other.interrupt() == 0


def test_joins_a_ray_that_serves_nothing_else(file: Path, tmp_path: Path) -> None:
    variables = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
    port = free_port()
    with start_ray(this_machine(), variables, port) as ray:
        address, token = ray.api.address, ray.api.token
        with started(tmp_path, "run", file, "--address", address) as command:
            assert command.wait() == 1
            assert "set RAY_AUTH_TOKEN" in command.output

        options = ("--address", address, "--port", str(port))
        with started(tmp_path, "run", file, *options, RAY_AUTH_TOKEN=token) as command:
            command.wait_for("Ctrl-C stops it")
            assert "label" in predict(port, text="a good film")
            other = tmp_path / "other.yaml"
            other.write_text(file.read_text().replace("laptop", "other"))
            with started(tmp_path, "run", other, *options, RAY_AUTH_TOKEN=token) as refused:
                assert refused.wait() == 1
                assert "already serves ingress, sentiment--default" in refused.output
            assert command.interrupt() == 0
        assert ray.api.status()["applications"] == {}


def test_nothing_answers_at_the_address(file: Path, tmp_path: Path) -> None:
    with started(tmp_path, "run", file, "--address", f"127.0.0.1:{free_port()}") as command:
        assert command.wait() == 1
        assert command.output.startswith("No Ray dashboard answers at http://127.0.0.1:")
