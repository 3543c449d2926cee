"""`kill -9` of one part or of everything, with contacts inside a flow: messages arrive once, outcomes are right."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.cli.processes import Up, eventually

pytestmark = pytest.mark.timeout(300)

SERIES = ["check-in", "need-a-hand", "training-tip", "welcome"]
QUICK = {"hand_after": "PT3S", "tip_after": "PT3S", "check_in_after": "PT9S"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("recovery"), CAUCE_SWEEP_SECONDS="1") as running:
        running.until_ready()
        yield running


@pytest.fixture(scope="module")
def api(up: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=up.api_url, timeout=20, transport=httpx.HTTPTransport(retries=3)) as client:
        yield client


def enroll(api: httpx.Client, name: str) -> str:
    answer = api.post(
        "/v1/flows/onboarding/enrollments",
        json={"contact": {"email": f"{name}@example.com", "first_name": name}, "settings": QUICK},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def read(api: httpx.Client, enrollment_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = api.get(f"/v1/enrollments/{enrollment_id}").raise_for_status().json()
    return answer


def waits_at(api: httpx.Client, enrollment_id: str, step: str) -> None:
    eventually(f"the contact waits at {step}", lambda: read(api, enrollment_id)["step"] == step)


def outcome(api: httpx.Client, enrollment_id: str) -> str:
    ended = eventually("the enrollment ended", lambda: read(api, enrollment_id)["outcome"])
    return str(ended["exit"])


def messages(api: httpx.Client, enrollment_id: str) -> list[str]:
    items = api.get("/v1/messages", params={"enrollment_id": enrollment_id}).raise_for_status().json()["items"]
    assert {item["status"] for item in items} <= {"sent"}
    return sorted(item["step"] for item in items)


def kept_in_the_outbox(up: Up, enrollment_id: str, api: httpx.Client) -> Counter[str]:
    ids = [item["id"] for item in api.get("/v1/messages", params={"enrollment_id": enrollment_id}).json()["items"]]
    return Counter(path.stem for path in (up.data_dir / "outbox").glob("*.eml") if path.stem in ids)


def kill(process: psutil.Process) -> None:
    process.kill()
    process.wait(10)


def restarted(up: Up, name: str, api: httpx.Client) -> None:
    """Kill one child hard, and wait until `up` runs another in its place."""
    old = up.children()[name]
    kill(old)
    eventually(f"{name} runs again", lambda: (new := up.children().get(name)) is not None and new.pid != old.pid)
    eventually("the API answers", lambda: is_ready(api))


def is_ready(api: httpx.Client) -> bool:
    try:
        return api.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("part", ["worker", "temporal", "api"])
def test_a_part_that_is_killed_during_a_wait_costs_nothing(up: Up, api: httpx.Client, part: str) -> None:
    enrollment = enroll(api, f"part-{part}")
    waits_at(api, enrollment, "activated")
    restarted(up, part, api)
    assert outcome(api, enrollment) == "completed"
    assert messages(api, enrollment) == SERIES


def test_everything_killed_during_a_wait_carries_on_where_it_was(up: Up, api: httpx.Client) -> None:
    waiting, activating = enroll(api, "everything"), enroll(api, "activates")
    waits_at(api, waiting, "activated")
    waits_at(api, activating, "activated")
    children = up.children()
    up.process.kill()
    up.process.wait(10)
    for child in children.values():
        kill(child)
    up.start()
    up.until_ready()
    assert api.post("/v1/events", json={"email": "activates@example.com", "name": "activated"}).status_code == 202
    assert outcome(api, activating) == "goal"
    assert outcome(api, waiting) == "completed"
    assert messages(api, waiting) == SERIES
    assert "check-in" not in messages(api, activating)


def test_a_worker_that_is_killed_again_and_again_in_the_middle_of_work_repeats_and_loses_nothing(
    up: Up, api: httpx.Client
) -> None:
    enrollments = [enroll(api, f"crowd-{number}") for number in range(20)]
    for _ in range(3):
        eventually("a worker is at work", lambda: "worker" in up.children())
        sent = len(list((up.data_dir / "outbox").glob("*.eml")))
        eventually("emails go out", lambda: len(list((up.data_dir / "outbox").glob("*.eml"))) > sent)  # noqa: B023
        kill(up.children()["worker"])
    for enrollment in enrollments:
        deadline = time.monotonic() + 120
        while read(api, enrollment)["outcome"] is None and time.monotonic() < deadline:
            eventually("the API answers", lambda: is_ready(api))
        assert outcome(api, enrollment) == "completed"
        assert messages(api, enrollment) == SERIES
        assert set(kept_in_the_outbox(up, enrollment, api).values()) == {1}


def test_an_erasure_that_is_asked_for_while_no_worker_is_there_is_done_by_the_next(up: Up, api: httpx.Client) -> None:
    enrollment = enroll(api, "erased")
    waits_at(api, enrollment, "activated")
    contact, sent = read(api, enrollment)["contact_id"], kept_in_the_outbox(up, enrollment, api)
    kill(up.children()["worker"])
    erasure = api.delete(f"/v1/contacts/{contact}").raise_for_status().headers["Location"]
    eventually("the rows are deleted", lambda: api.get(erasure).raise_for_status().json()["rows"])
    assert api.get(f"/v1/contacts/{contact}").status_code == 404
    assert sent
    assert not any((up.data_dir / "outbox" / f"{message}.eml").exists() for message in sent)


def test_up_stops_within_its_grace_and_leaves_no_process(up: Up) -> None:
    children = up.children()
    assert up.end_by(signal.SIGINT) == 0
    assert not [child for child in children.values() if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
