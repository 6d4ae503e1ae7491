"""What changes live: traffic, batching, parameters, without a new replica and without a lost request."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import yaml

if TYPE_CHECKING:
    from tests.support.serving import Serving

LABELS = {"NEGATIVE": "v1", "POSITIVE": "v1", "LEFT": "v2", "RIGHT": "v2"}


def ask(served: Serving, client: httpx.Client, **headers: str) -> str:
    answer = client.post(f"{served.url}/predict", json={"model": "split", "text": "good"}, headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert LABELS[body["prediction"]["label"]] == body["version"] == answer.headers["X-Model-Version"]
    return str(body["version"])


def shares(served: Serving, calls: int = 200) -> Counter[str]:
    with httpx.Client(timeout=60) as client:
        return Counter(ask(served, client) for _ in range(calls))


def test_traffic_follows_the_weights(served: Serving) -> None:
    # 40 are expected; fewer than 15 or more than 70 of 200 draws come about once in a million runs.
    assert 15 <= shares(served)["v2"] <= 70


def test_a_version_can_be_pinned(served: Serving) -> None:
    with httpx.Client(timeout=60) as client:
        for version in ("v1", "v2"):
            assert {ask(served, client, **{"X-Model-Version": version}) for _ in range(10)} == {version}
        answer = client.post(
            f"{served.url}/predict", json={"model": "split", "text": "a"}, headers={"X-Model-Version": "v9"}
        )
    assert answer.status_code == 404
    assert "v1, v2" in answer.json()["error"]["message"]


def test_new_weights_apply_under_load_without_new_replicas_or_lost_requests(
    changed: Serving, endpoint: str
) -> None:
    apps = ("split--v1", "split--v2", "ingress", "sentiment--default")
    before = {app: changed.pids(app) for app in apps}
    over, versions, failed = threading.Event(), Counter[str](), []

    def load() -> None:
        with httpx.Client(timeout=60) as client:
            while not over.is_set():
                try:
                    versions[ask(changed, client)] += 1
                except (AssertionError, httpx.HTTPError) as error:
                    failed.append(error)

    callers = [threading.Thread(target=load) for _ in range(8)]
    for caller in callers:
        caller.start()
    changed.apply(endpoint.replace("traffic: 80", "traffic: 0").replace("traffic: 20", "traffic: 100"))
    changed.wait(lambda: shares(changed, 20)["v2"] == 20, patience_s=60)
    over.set()
    for caller in callers:
        caller.join()
    assert not failed
    assert versions["v1"] > 0
    assert {app: changed.pids(app) for app in apps} == before


def test_parameters_apply_live(changed: Serving, endpoint: str) -> None:
    def tokens() -> int:
        body = {"model": "chat", "text": "hello world"}
        prediction = httpx.post(f"{changed.url}/predict", json=body, timeout=60).json()["prediction"]
        return int(prediction["completion_tokens"])

    before = changed.pids("chat--default")
    assert tokens() == 16
    changed.apply(endpoint.replace("max_new_tokens: 16", "max_new_tokens: 5"))
    changed.wait(lambda: tokens() == 5, patience_s=60)
    assert changed.pids("chat--default") == before


def test_only_the_version_whose_source_changes_gets_new_replicas(changed: Serving, endpoint: str) -> None:
    before = {app: changed.pids(app) for app in ("split--v1", "sentiment--default", "ingress")}
    old = changed.pids("split--v2")
    changed.apply(endpoint.replace("/other", "/classifier"))
    changed.wait(lambda: bool(changed.pids("split--v2")) and not changed.pids("split--v2") & old)
    assert {app: changed.pids(app) for app in before} == before


def test_a_version_that_cannot_load_takes_no_traffic_and_says_why(changed: Serving, endpoint: str) -> None:
    content = yaml.safe_load(endpoint)
    versions = next(model for model in content["spec"]["models"] if model["name"] == "split")["versions"]
    versions[0]["traffic"] = 40
    versions.append({"name": "v3", "traffic": 40, "source": {"uri": "file:///no/such"}})
    changed.apply(yaml.safe_dump(content))
    changed.wait(lambda: "/no/such" in changed.messages().get("split--v3", ""), patience_s=120)
    assert set(shares(changed, 60)) == {"v1", "v2"}
