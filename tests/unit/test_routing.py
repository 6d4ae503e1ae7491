"""Which model and version answers: by name, by weight among what runs, by pin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelendpoint_serve.errors import ApiError
from modelendpoint_serve.routing import choose_version, find_model
from modelendpoint_serve.settings import ModelRoute, VersionRoute


def route(name: str = "m", task: str = "text-classification", **traffic: int) -> ModelRoute:
    versions = tuple(VersionRoute(name=v, app=f"{name}--{v}", traffic=share) for v, share in traffic.items())
    return ModelRoute.model_validate({"name": name, "task": task, "versions": versions})


SPLIT = route(v1=80, v2=20, v3=0)
MODELS = {"m": SPLIT, "chat": route("chat", "text-generation", default=100)}
ALL = {"m--v1", "m--v2", "m--v3"}


@pytest.mark.parametrize(("dice", "version"), [(0.0, "v1"), (0.79, "v1"), (0.8, "v2"), (0.999, "v2")])
def test_weights_decide(dice: float, version: str) -> None:
    assert choose_version(SPLIT, ALL, dice).name == version


@given(st.floats(0, 1, exclude_max=True))
def test_the_weights_of_what_runs_stretch_over_what_still_loads(dice: float) -> None:
    assert choose_version(SPLIT, {"m--v2", "m--v3"}, dice).name == "v2"


@given(st.floats(0, 1, exclude_max=True))
def test_a_version_without_traffic_is_reached_by_pin_only(dice: float) -> None:
    assert choose_version(SPLIT, ALL, dice).name != "v3"
    assert choose_version(SPLIT, ALL, dice, pinned="v3").name == "v3"


@pytest.mark.parametrize(
    ("running", "pinned", "status", "words"),
    [
        pytest.param(set(), None, 503, "loading or has failed", id="nothing runs"),
        pytest.param({"m--v3"}, None, 503, "loading or has failed", id="only a version without traffic runs"),
        pytest.param({"m--v1"}, "v2", 503, "version v2", id="the pinned version does not run"),
        pytest.param(ALL, "v9", 404, "v1, v2, v3", id="the pinned version does not exist"),
    ],
)
def test_who_cannot_be_served_is_told_why(
    running: set[str], pinned: str | None, status: int, words: str
) -> None:
    with pytest.raises(ApiError) as caught:
        choose_version(SPLIT, running, 0.5, pinned)
    assert caught.value.fault.status == status
    assert words in caught.value.fault.message
    assert (caught.value.fault.retry_after_s is not None) == (status == 503)


@pytest.mark.parametrize(
    ("name", "task", "status", "words"),
    [
        pytest.param("nope", None, 404, "chat, m", id="unknown model lists the names"),
        pytest.param(None, None, 422, "chat, m", id="a name is needed where there are several"),
        pytest.param("chat", "feature-extraction", 422, "does text-generation", id="wrong task"),
        pytest.param("x" * 10_000, None, 404, "There is no model", id="a long name is not echoed whole"),
    ],
)
def test_unknown_models(name: str | None, task: str | None, status: int, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        find_model(MODELS, name, task)
    assert caught.value.fault.status == status
    assert words in caught.value.fault.message
    assert len(caught.value.fault.message) < 300


def test_the_name_may_be_left_out_where_there_is_one() -> None:
    assert find_model({"m": SPLIT}, None).name == "m"
    assert find_model(MODELS, None, "text-generation").name == "chat"
