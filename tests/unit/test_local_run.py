"""The pure parts of `modelendpoint run`: what it will deploy, what it reports, what it prints to paste."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from modelendpoint_operator.api.v1alpha1 import ModelEndpoint
from modelendpoint_operator.local.curl import curl_lines
from modelendpoint_operator.local.machine import Machine, claim_ports, port_is_free
from modelendpoint_operator.local.plan import changes, plan
from modelendpoint_operator.local.progress import failure_of, in_words, read_states, steps
from modelendpoint_operator.probes import judge, questions
from modelendpoint_operator.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from modelendpoint_operator.local.plan import Plan

URL = "http://127.0.0.1:8000"
MACHINE = Machine(cpus=8, memory=32 * 2**30)


def model(name: str = "sentiment", task: str = "text-classification", **fields: Any) -> dict[str, Any]:
    source = {} if "versions" in fields else {"source": {"uri": "file:///models/a"}}
    return {"name": name, "task": task, **source, **fields}


def endpoint(*models: dict[str, Any], **spec: Any) -> ModelEndpoint:
    return ModelEndpoint.model_validate(
        {
            "apiVersion": "serving.modelendpoint.dev/v1alpha1",
            "kind": "ModelEndpoint",
            "metadata": {"name": "reviews"},
            "spec": {"models": models or (model(),), **spec},
        }
    )


def plan_of(*models: dict[str, Any], **spec: Any) -> Plan:
    return plan(endpoint(*models, **spec), Settings(), MACHINE, 8000)


CHAT = model("chat", "text-generation")
EMBED = model("embed", "feature-extraction")


class TestCurl:
    @pytest.mark.parametrize(
        ("models", "paths"),
        [
            ([CHAT, EMBED], ["/v1/chat/completions", "/v1/embeddings", "/predict"]),
            ([CHAT], ["/v1/chat/completions", "/predict", "/predict"]),
            ([EMBED, model()], ["/v1/embeddings", "/predict", "/predict"]),
            ([model()], ["/predict", "/predict", "/v1/models"]),
            (
                [CHAT, EMBED, model("b", "text-generation")],
                ["/v1/chat/completions", "/v1/embeddings", "/predict"],
            ),
        ],
    )
    def test_three_lines_that_suit_the_tasks(self, models: list[dict[str, Any]], paths: list[str]) -> None:
        words = [shlex.split(line) for line in curl_lines(endpoint(*models), URL)]
        assert [line[1].removeprefix(URL) for line in words] == paths

    def test_bodies_survive_the_shell(self) -> None:
        text = """It's "fine", naïve & $HOME"""
        line = curl_lines(endpoint(model(probe={"input": text})), URL)[0]
        assert json.loads(shlex.split(line)[-1]) == {"model": "sentiment", "text": text}


class TestPlan:
    def test_the_variables_of_the_containers_but_not_their_folders(self) -> None:
        variables = plan_of(
            ray={"env": [{"name": "HF_ENDPOINT", "value": "https://hub.example.com"}]}
        ).variables
        assert variables["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
        assert variables["HF_ENDPOINT"] == "https://hub.example.com"
        assert not {"HF_HOME", "MODELENDPOINT_CACHE"} & variables.keys()

    def test_says_what_only_the_cluster_has(self) -> None:
        source = {"uri": "hf://a/b", "secretRef": {"name": "hub"}}
        notes = plan_of(
            {**model(), "source": source, "resources": {"gpu": 1, "accelerator": "nvidia-l4"}}
        ).notes
        for word in ("runs on the CPU", "nvidia-l4", "Secret hub"):
            assert any(word in note for note in notes), word

    @pytest.mark.parametrize(
        ("edit", "found"),
        [
            pytest.param([model()], [], id="nothing"),
            pytest.param(
                [model(batching={"maxBatchSize": 8}, scaling={"maxOngoingRequests": 64})],
                ["sentiment--default: batching changed, in the running replicas."],
                id="live",
            ),
            pytest.param(
                [model(precision="float32")],
                ["sentiment--default: precision changed, its replicas are replaced."],
                id="identity",
            ),
            pytest.param(
                [model(resources={"cpu": "2"})],
                ["sentiment--default: resources changed, its replicas are replaced."],
                id="resources",
            ),
            pytest.param(
                [model(), CHAT],
                ["chat--default: added.", "ingress: models changed, in the running replicas."],
                id="another model",
            ),
            pytest.param(
                [CHAT],
                [
                    "sentiment--default: removed.",
                    "chat--default: added.",
                    "ingress: models changed, in the running replicas.",
                ],
                id="one instead of another",
            ),
        ],
    )
    def test_changes(self, edit: list[dict[str, Any]], found: list[str]) -> None:
        assert changes(plan_of(model()), plan_of(*edit)) == found

    def test_variables_wait_for_the_next_start(self) -> None:
        edited = plan_of(model(), ray={"env": [{"name": "A", "value": "1"}]})
        assert [change for change in changes(plan_of(model()), edited) if "started again" in change]


SERVE_MESSAGE = """The deployment failed to start 1 times in a row. This may be due to a problem with its
constructor or initial health check failing. See controller logs for details. Retrying 2 more time(s). Error:
ray::ServeReplica:sentiment--default:Model.initialize_and_get_metadata() (pid=26164, ip=127.0.0.1)
  File "ray/serve/_private/replica.py", line 1866, in initialize
    await self._user_callable_wrapper.initialize_callable()
{error}
"""
LOAD_ERROR = (
    "modelendpoint_serve.errors.ModelLoadError: [NotFound] There is no file:///models/a. Check the path."
)


class TestProgress:
    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (LOAD_ERROR, "There is no file:///models/a. Check the path."),
            ("ValueError: bad weights", "ValueError: bad weights"),
            (
                "ModuleNotFoundError: No module named 'modelendpoint_serve'",
                "modelendpoint_serve is not installed",
            ),
            (
                "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.",
                "memory",
            ),
        ],
    )
    def test_failures_in_words(self, error: str, words: str) -> None:
        assert words in in_words(SERVE_MESSAGE.format(error=error))
        assert "Traceback" not in in_words(SERVE_MESSAGE.format(error=error))

    def test_a_report_of_a_failure_comes_before_the_retries_of_serve(self) -> None:
        report = {"stage": "failed", "message": "There is no model.", "hint": "Check the uri."}
        assert (
            failure_of({"status": "DEPLOYING"}, [report, {"stage": "loading"}])
            == "There is no model. Check the uri."
        )

    def test_starting_is_no_failure(self) -> None:
        message = (
            "Deployment 'Model' in application 'a' 1 replicas that have taken more than 30s to initialize."
        )
        status = {"status": "DEPLOYING", "message": "", "deployments": {"Model": {"message": message}}}
        assert failure_of(status, [{"stage": "loading"}]) is None

    def test_steps_in_the_order_of_the_config(self) -> None:
        config = plan_of(EMBED, CHAT, model()).config
        status = {
            "applications": {
                "embed--default": {"status": "RUNNING"},
                "chat--default": {"status": "DEPLOYING"},
            }
        }
        states = {"chat--default": [{"stage": "downloading"}, {"stage": "loading", "detail": "hf://a/b"}]}
        found = [
            (step.model, step.version, step.stage, step.detail) for step in steps(config, status, states)
        ]
        assert found == [
            ("embed", "default", "ready", ""),
            ("chat", "default", "loading", "hf://a/b"),
            ("sentiment", "default", "starting", ""),
            ("(ingress)", "", "starting", ""),
        ]

    def test_reports_of_an_earlier_deployment_do_not_count(self, tmp_path: Path) -> None:
        for pid, when in ((1, 5.0), (2, 30.0), (3, 20.0)):
            (tmp_path / f"a.{pid}.json").write_text(json.dumps({"app": "a", "pid": pid, "time": when}))
        assert [state["pid"] for state in read_states(tmp_path, since=10)["a"]] == [3, 2]
        assert read_states(None, since=0) == {}


ANSWERS: dict[str, Any] = {
    "text-classification": {"label": "POSITIVE", "score": 0.9},
    "feature-extraction": {"embedding": [0.1, 0.2], "tokens": 3},
    "text-generation": {"text": "The capital is Paris.", "finish_reason": "stop"},
}


class TestProbes:
    def reply(self, task: str, **prediction: Any) -> dict[str, Any]:
        return {"model": "m", "version": "default", "prediction": {**ANSWERS[task], **prediction}}

    def ask(self, task: str, expect: dict[str, Any] | None = None) -> Any:
        (question,) = questions(endpoint(model("m", task, probe={"input": "a text", "expect": expect})))
        return question

    @pytest.mark.parametrize("task", ANSWERS)
    def test_a_well_formed_answer_will_do_where_nothing_is_expected(self, task: str) -> None:
        verdict = judge(self.ask(task), self.reply(task))
        assert verdict.wrong is None
        assert verdict.answer

    @pytest.mark.parametrize(
        ("task", "right", "wrong"),
        [
            ("text-classification", {"label": "POSITIVE"}, {"label": "NEGATIVE"}),
            ("feature-extraction", {"dimensions": 2}, {"dimensions": 384}),
            ("text-generation", {"contains": "paris"}, {"contains": "Rome"}),
        ],
    )
    def test_expectations(self, task: str, right: dict[str, Any], wrong: dict[str, Any]) -> None:
        assert judge(self.ask(task, right), self.reply(task)).wrong is None
        assert judge(self.ask(task, wrong), self.reply(task)).wrong

    @pytest.mark.parametrize(
        ("task", "prediction"),
        [
            ("text-classification", {"score": float("nan")}),
            ("text-classification", {"label": None}),
            ("feature-extraction", {"embedding": []}),
            ("feature-extraction", {"embedding": [None]}),
            ("text-generation", {"text": None}),
        ],
    )
    def test_malformed_answers(self, task: str, prediction: dict[str, Any]) -> None:
        assert judge(self.ask(task), self.reply(task, **prediction)).wrong

    def test_an_answer_of_another_version_is_none(self) -> None:
        task = "text-generation"
        assert judge(self.ask(task), {**self.reply(task), "version": "v2"}).wrong == "answered by m (v2)"

    def test_every_version_with_traffic_is_asked_by_name(self) -> None:
        versions = [
            {"name": name, "source": {"uri": "file:///models/a"}, "traffic": traffic}
            for name, traffic in (("v1", 90), ("v2", 10), ("v3", 0))
        ]
        asked = questions(endpoint(model(versions=versions)))
        assert [question.headers() for question in asked] == [
            {"X-Model-Version": "v1"},
            {"X-Model-Version": "v2"},
        ]


def test_two_runs_never_get_the_same_ports() -> None:
    first, one = claim_ports(100)
    second, two = claim_ports(100)
    with one, two:
        assert abs(first - second) >= 100
        assert not port_is_free(first - 1)
