"""Schedules as operators keep them through the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import ScheduleHandle
from temporalio.testing import WorkflowEnvironment

from domain.segments import Segment
from runtime.recurring import temporal_schedule_id
from store.schedules import make_job
from store.segments import create_segment
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.clearing import delete_schedules

SCHEDULES = "/v1/schedules"
NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"


@pytest.fixture
async def segment_id(request: pytest.FixtureRequest) -> str:
    name = "api_without_temporal" if "api_without_temporal" in request.fixturenames else "api"
    api: Caller = request.getfixturevalue(name)
    clause = {"kind": "contact", "field": "score", "at_least": 50}
    async with api.services.database.write() as session:
        return (await create_segment(session, "vip", "", Segment.model_validate(clause))).id


@pytest.fixture(autouse=True)
async def nothing_left(temporal: WorkflowEnvironment) -> AsyncIterator[None]:
    yield
    await delete_schedules(temporal.client)


def weekly(segment_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Very important, each Monday",
        "kind": "bulk_enrollment",
        "job": {"flow": "onboarding", "source": {"segment_id": segment_id}, "settings": {"hand_after": "P2D"}},
        "recurrence": {"at": "09:00", "days": ["monday"]},
        "time_zone": "America/Santiago",
        "jitter": "PT10M",
        **changes,
    }


def handle(temporal: WorkflowEnvironment, schedule: dict[str, Any]) -> ScheduleHandle:
    return temporal.client.get_schedule_handle(temporal_schedule_id(schedule["id"]))


async def test_an_operator_makes_reads_changes_pauses_and_deletes_a_schedule(
    api: Caller, segment_id: str, temporal: WorkflowEnvironment
) -> None:
    made = await api.post(SCHEDULES, weekly(segment_id))
    assert made.status_code == 201, made.text
    schedule = made.json()
    url = made.headers["Location"]
    assert url == f"{SCHEDULES}/{schedule['id']}"
    assert (schedule["known_to_temporal"], schedule["paused"], schedule["past_runs"]) == (True, False, [])
    assert len(schedule["next_runs"]) == 10
    assert (await api.get(url)).json() == schedule
    assert (await api.get(SCHEDULES)).json()["items"] == [schedule]

    paused = (await api.post(f"{url}/pause", {"note": "not during the holidays"})).json()
    assert (paused["paused"], paused["note"], paused["next_runs"]) == (True, "not during the holidays", [])
    later = weekly(segment_id, recurrence={"at": "10:00"}, name="Very important, each day")
    changed = await api.http.put(url, json=later)
    assert changed.status_code == 200, changed.text
    assert changed.json()["name"] == later["name"]
    assert changed.json()["paused"] is True
    assert (await api.post(f"{url}/resume")).json()["paused"] is False

    await handle(temporal, schedule).pause(note="by hand, in the Web UI")
    seen = (await api.get(url)).json()
    assert (seen["paused"], seen["note"]) == (True, "by hand, in the Web UI")
    assert (await api.get(SCHEDULES)).json()["items"] == [seen]

    assert (await api.http.delete(url)).status_code == 204
    assert_problem(await api.get(url), 404)
    assert_problem(await api.post(f"{url}/resume"), 404)
    assert_problem(await api.http.put(url, json=later), 404)
    assert (await api.get(SCHEDULES)).json()["items"] == []
    assert [each async for each in await temporal.client.list_schedules()] == []


async def test_it_runs_once_more_when_asked_to_and_tells_what_it_made(
    api: Caller, segment_id: str, temporal: WorkflowEnvironment
) -> None:
    schedule = (await api.post(SCHEDULES, weekly(segment_id))).json()
    assert (await api.post(f"{SCHEDULES}/{schedule['id']}/run-now")).status_code == 202
    (run,) = (await handle(temporal, schedule).describe()).info.recent_actions
    shown = (await api.get(f"{SCHEDULES}/{schedule['id']}")).json()["past_runs"]
    assert [each["job_id"] for each in shown] == [None]  # no worker is there
    async with api.services.database.write() as session:
        job = (await make_job(session, schedule["id"], run.scheduled_at, api.services.flows)).job
    assert job is not None
    shown = (await api.get(f"{SCHEDULES}/{schedule['id']}")).json()["past_runs"]
    assert [each["job_id"] for each in shown] == [job.id]
    assert (await api.get(f"/v1/bulk-enrollments/{job.id}")).json()["flow"] == "onboarding"


async def test_a_broadcast_can_be_scheduled_too(api: Caller, segment_id: str) -> None:
    news = {"name": "News", "message": "product-update", "source": {"segment_id": segment_id}}
    monthly = weekly(segment_id, kind="broadcast", job=news, recurrence={"at": "10:30", "day_of_month": 1})
    made = await api.post(SCHEDULES, monthly)
    assert made.status_code == 201, made.text
    assert (made.json()["kind"], made.json()["job"]) == ("broadcast", news)


@pytest.mark.parametrize(
    ("changes", "at_fault"),
    [
        ({"kind": "newsletter"}, "body"),
        ({"recurrence": {"at": "09:00", "every": "PT1H"}}, "body.bulk_enrollment.recurrence"),
        ({"recurrence": {"cron": "every day"}}, "body.bulk_enrollment.recurrence.cron"),
        ({"time_zone": "Mars/Olympus"}, "body.bulk_enrollment.time_zone"),
        ({"jitter": "P2D"}, "body.bulk_enrollment.jitter"),
        ({"job": {"flow": "no_such", "source": {"segment_id": NOBODY}}}, "body.job.flow"),
        ({"job": {"flow": "onboarding", "source": {"segment_id": NOBODY}}}, "body.job.source"),
        (
            {"job": {"flow": "onboarding", "source": {"contact_ids": [NOBODY]}}},
            "body.bulk_enrollment.job.source",
        ),
        (
            {"job": {"flow": "onboarding", "source": {"segment_id": NOBODY}, "settings": {"hand_after": "soon"}}},
            "body.job.settings.hand_after",
        ),
        (
            {"kind": "broadcast", "job": {"name": "News", "message": "no-such", "source": {"segment_id": NOBODY}}},
            "body.job.message",
        ),
    ],
)
async def test_what_could_not_be_asked_for_once_is_not_scheduled(
    api: Caller, segment_id: str, changes: dict[str, Any], at_fault: str
) -> None:
    problem = assert_problem(await api.post(SCHEDULES, weekly(segment_id, **changes)), 422)
    assert fields_at_fault(problem) == [at_fault]
    assert (await api.get(SCHEDULES)).json()["items"] == []


async def test_a_name_is_taken_once(api: Caller, segment_id: str) -> None:
    first = await api.post(SCHEDULES, weekly(segment_id))
    assert_problem(await api.post(SCHEDULES, weekly(segment_id)), 409, "name-taken")
    other = (await api.post(SCHEDULES, weekly(segment_id, name="Another"))).json()
    taken = await api.http.put(f"{SCHEDULES}/{other['id']}", json=weekly(segment_id))
    assert_problem(taken, 409, "name-taken")
    again = await api.http.put(first.headers["Location"], json=weekly(segment_id))
    assert again.json()["updated_at"] == first.json()["updated_at"]


async def test_while_temporal_is_away_schedules_are_kept_and_shown_as_asked_for(
    api_without_temporal: Caller, segment_id: str
) -> None:
    api = api_without_temporal
    made = await api.post(SCHEDULES, weekly(segment_id))
    assert made.status_code == 201, made.text
    url = made.headers["Location"]
    assert (made.json()["known_to_temporal"], made.json()["next_runs"]) == (False, [])
    assert (await api.post(f"{url}/pause", {"note": "wait"})).json()["paused"] is True
    assert_problem(await api.post(f"{url}/run-now"), 503, "temporal-unavailable")
    assert (await api.http.delete(url)).status_code == 204
    assert_problem(await api.get(url), 404)
