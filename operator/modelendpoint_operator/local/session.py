"""One `modelendpoint run`, from the file to the last Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import watchfiles
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modelendpoint_operator.api.load import load
from modelendpoint_operator.errors import UserError
from modelendpoint_operator.local.curl import curl_lines
from modelendpoint_operator.local.display import Display
from modelendpoint_operator.local.join import dashboard, join_ray, machine_of
from modelendpoint_operator.local.machine import port_is_free, this_machine
from modelendpoint_operator.local.plan import Plan, changes, plan
from modelendpoint_operator.local.progress import FAILED, READY, Step, read_states, steps
from modelendpoint_operator.local.ray import Ray, check_installed, start_ray
from modelendpoint_operator.probes import Question, Verdict, judge, questions
from modelendpoint_operator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelendpoint_operator.api.v1alpha1 import ModelEndpoint

Json = dict[str, Any]
POLL_S: Final = 0.5
# A model that is slower on a laptop than this is no use there.
ANSWER_TIMEOUT_S: Final = 120
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Options:
    file: Path
    port: int
    watch: bool
    once: bool
    address: str | None


def serve(options: Options) -> int:
    """The exit code; raises `UserError` when it does not work."""
    with _interruptible():
        session = Session(options)
        try:
            return session.run()
        except KeyboardInterrupt:
            return 0 if session.was_ready and not options.once else INTERRUPTED


class Session:
    """Results go to stdout, the way there to stderr."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.was_ready = False
        self._started = time.monotonic()
        self._out = Console(highlight=False)
        self._err = Console(stderr=True, highlight=False)
        self._http = httpx.Client(timeout=ANSWER_TIMEOUT_S, trust_env=False)
        self._api = dashboard(options.address) if options.address else None
        self._machine = machine_of(self._api) if self._api else this_machine()

    def run(self) -> int:
        plan = self._read()
        if self._api is None and not port_is_free(self.options.port):
            raise UserError(f"Port {self.options.port} is in use; choose another one with --port.")
        self._say(*plan.notes)
        with self._ray(plan) as ray, self._farewell():
            self._deploy(ray, plan, self._started)
            self.was_ready = True
            if self.options.once:
                return self._ask(ray, plan)
            self._announce(ray, plan)
            self._stay(ray, plan)
        return 0

    def _read(self) -> Plan:
        return plan(_read_endpoint(self.options.file), Settings(), self._machine, self.options.port)

    def _ray(self, plan: Plan) -> contextlib.AbstractContextManager[Ray]:
        if self._api:
            return join_ray(self._api, plan)
        check_installed()
        self._say(f"Starting Ray on {self._machine} …")
        return start_ray(self._machine, plan.variables, self.options.port)

    @contextlib.contextmanager
    def _farewell(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self._say("Stopping …")
            raise

    def _deploy(self, ray: Ray, plan: Plan, started: float | None = None) -> None:
        """Returns when the endpoint is ready; raises `UserError` when a model of it never will be."""
        since = time.time()
        ray.api.deploy(plan.config)
        with Display(self._err, started or time.monotonic()) as display:
            while True:
                ray.check()
                found = steps(plan.config, ray.api.status(), read_states(ray.states, since))
                display.show(found)
                _raise_failure(found)
                if self._is_ready(ray, plan, found):
                    return
                time.sleep(POLL_S)

    def _is_ready(self, ray: Ray, plan: Plan, found: list[Step]) -> bool:
        """Serve's own word is not enough: the way through its proxy has to work as well."""
        if not {step.app for step in found if step.stage == READY}.issuperset(plan.apps_with_traffic):
            return False
        try:
            return self._http.get(f"{ray.url}/readyz").is_success
        except httpx.TransportError:
            return False

    def _announce(self, ray: Ray, plan: Plan) -> None:
        name = plan.endpoint.metadata.name
        self._out.print(f"\n[bold green]{name} is ready[/] on [bold]{ray.url}[/]  (API: {ray.url}/docs)\n")
        for line in curl_lines(plan.endpoint, ray.url):
            self._out.print(Text(line), soft_wrap=True)
        watched = f"; edit {self.options.file} to change it" if self.options.watch else ""
        self._out.print(Text(f"\nCtrl-C stops it{watched}."), soft_wrap=True)

    def _stay(self, ray: Ray, plan: Plan) -> None:
        """Until Ctrl-C, or until Ray dies."""
        for changed in self._ticks():
            ray.check()
            if changed:
                plan = self._apply_edit(ray, plan)

    def _ticks(self) -> Iterator[bool]:
        """Now and then; true when the file was saved."""
        file = self.options.file.resolve()
        if not self.options.watch:
            while True:
                time.sleep(POLL_S)
                yield False
        # The folder, because editors replace a file instead of writing into it.
        for found in watchfiles.watch(file.parent, recursive=False, rust_timeout=500, yield_on_timeout=True):
            yield any(Path(path) == file for _, path in found)

    def _apply_edit(self, ray: Ray, running: Plan) -> Plan:
        """The plan that runs afterwards: an edit that cannot be read or loaded is reported, and undone."""
        try:
            new = self._read()
        except UserError as error:
            self._complain(error)
            return running
        edits = changes(running, new)
        self._say(*(edits or ["Saved, and nothing to change."]))
        try:
            if edits:
                self._deploy(ray, new)
                self._say("Applied.")
        except UserError as error:
            # Not followed: replicas of the edit that failed may still report their end.
            ray.api.deploy(running.config)
            self._complain(error)
            return running
        return new

    def _complain(self, error: UserError) -> None:
        self._err.print(Text(str(error), "red"), soft_wrap=True)
        self._say("What ran before keeps running.")

    def _ask(self, ray: Ray, plan: Plan) -> int:
        """Every model its probe; 0 if every answer is right."""
        table = Table("model", "version", "question", "answer", box=None, header_style="dim", pad_edge=False)
        table.add_column("latency", justify="right")
        failures = []
        for question in questions(plan.endpoint):
            started = time.perf_counter()
            verdict = self._ask_one(ray, question)
            latency = f"{(time.perf_counter() - started) * 1000:.0f} ms"
            cells = (question.model, question.version, question.text, verdict.answer, latency)
            table.add_row(*map(Text, cells), style="red" if verdict.wrong else None)
            if verdict.wrong:
                failures.append(f"{question.model} ({question.version}): {verdict.wrong}.")
        self._out.print(table)
        for failure in failures:
            self._err.print(Text(failure, "red"), soft_wrap=True)
        return 1 if failures else 0

    def _ask_one(self, ray: Ray, question: Question) -> Verdict:
        try:
            reply = self._http.post(f"{ray.url}/predict", json=question.body(), headers=question.headers())
        except httpx.TransportError as error:
            return Verdict(wrong=f"no answer ({error})")
        if reply.is_error:
            return Verdict(wrong=f"answered {reply.status_code}: {reply.text[:200]}")
        return judge(question, reply.json())

    def _say(self, *sentences: str) -> None:
        for sentence in sentences:
            self._err.print(Text(sentence, "dim"), soft_wrap=True)


def _read_endpoint(file: Path) -> ModelEndpoint:
    try:
        loaded = load(file.read_bytes(), str(file))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    if loaded.problems:
        raise UserError("\n".join(map(str, loaded.problems)))
    if len(loaded.endpoints) > 1:
        found = ", ".join(endpoint.metadata.name for endpoint in loaded.endpoints)
        raise UserError(f"{file} holds several endpoints ({found}); run takes a file with one.")
    if loaded.endpoints[0].spec.suspend:
        raise UserError(f"{file}: spec.suspend is true, so there is nothing to run; set it to false.")
    return loaded.endpoints[0]


def _raise_failure(found: list[Step]) -> None:
    for step in found:
        if step.stage == FAILED:
            version = "" if step.version in ("", "default") else f" ({step.version})"
            raise UserError(f"{step.model}{version} cannot be served: {step.detail}")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """The first signal ends the run in order; more of them cannot disturb that."""

    def stop(*_: object) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
