"""Enrollments as the API shows, lists and cancels them."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus

from domain.flows import Exit, Outcome
from store.database import Database
from store.enrollments import record_outcome
from store.tables import EnrollmentRow, now
from tests.api.caller import ADA, Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases

UNKNOWN = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"


async def test_active_enrollment_shows_where_its_workflow_is(api_with_worker: Caller) -> None:
    api = api_with_worker
    made = await api.enroll()
    waiting = await _once(api, made["id"], step="activated")
    assert waiting["next_wake_at"].endswith("Z")
    assert waiting == {**made, "step": "activated", "next_wake_at": waiting["next_wake_at"]}
    assert (await api.get("/v1/enrollments", status="active")).json()["items"] == [waiting]
    (message,) = (await api.get("/v1/messages", enrollment_id=made["id"])).json()["items"]
    assert (message["step"], message["status"], message["provider"]) == ("welcome", "sent", "outbox")

    await api.post("/v1/events", {"email": ADA["email"], "name": "activated"})
    ended = await _once(api, made["id"], status="ended")
    assert ended["outcome"]["exit"] == "goal"
    assert ended["step"] == ended["outcome"]["step"] == "activated"


async def _once(api: Caller, enrollment_id: str, **expected: str) -> dict[str, Any]:
    """The enrollment as soon as it shows what is expected."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        shown: dict[str, Any] = (await api.get(f"/v1/enrollments/{enrollment_id}")).json()
        if expected.items() <= shown.items():
            return shown
    pytest.fail(f"not within 20 s: {expected}")


async def test_enrollments_nobody_answers_for_come_without_a_step_and_soon(api: Caller) -> None:
    for number in range(25):
        await api.enroll(contact={"email": f"contact-{number}@example.com"})
    began = time.monotonic()
    items = (await api.get("/v1/enrollments", limit=25)).json()["items"]
    assert time.monotonic() - began < 5
    assert {(item["status"], item["step"], item["next_wake_at"]) for item in items} == {("active", None, None)}


async def test_ended_enrollment_shows_its_outcome(api: Caller) -> None:
    made = await api.enroll()
    async with api.services.database.write() as session:
        await record_outcome(session, made["id"], Outcome(exit=Exit.FAILED, step="welcome", reason="EventNotListened"))
    shown = (await api.get(f"/v1/enrollments/{made['id']}")).json()
    assert (shown["status"], shown["step"], shown["next_wake_at"]) == ("ended", "welcome", None)
    assert shown["outcome"] == {
        "exit": "failed",
        "step": "welcome",
        "reason": "EventNotListened",
        "ended_at": shown["outcome"]["ended_at"],
    }


async def test_cancelling_twice_asks_the_workflow_once_to_end(api: Caller) -> None:
    made = await api.enroll()
    first = await api.post(f"/v1/enrollments/{made['id']}/cancel")
    again = await api.post(f"/v1/enrollments/{made['id']}/cancel")
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json() == made
    (row,) = await api.enrollments()
    assert row.cancel_requested_at is not None
    assert row.cancel_told_at is not None
    handle = api.services.client.get_workflow_handle(made["workflow_id"])
    events = [event async for event in handle.fetch_history_events()]
    assert sum(event.HasField("workflow_execution_cancel_requested_event_attributes") for event in events) == 1


async def test_cancelling_what_has_ended_changes_nothing(api: Caller) -> None:
    made = await api.enroll()
    async with api.services.database.write() as session:
        await record_outcome(session, made["id"], Outcome(exit=Exit.GOAL, step="activated"))
    answer = await api.post(f"/v1/enrollments/{made['id']}/cancel")
    assert answer.status_code == 202
    assert answer.json()["outcome"]["exit"] == "goal"
    assert (await api.services.client.get_workflow_handle(made["workflow_id"]).describe()).status is (
        WorkflowExecutionStatus.RUNNING
    )


async def test_unknown_enrollment_is_not_found(api: Caller) -> None:
    assert_problem(await api.get(f"/v1/enrollments/{UNKNOWN}"), 404, "not-found")
    assert_problem(await api.post(f"/v1/enrollments/{UNKNOWN}/cancel"), 404, "not-found")


@on_both_databases
async def test_listing_pages_through_everything_once_newest_first(api: Caller) -> None:
    made = await _ended_enrollments(api.services.database, api, 7)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.get("/v1/enrollments", limit=3, **cursor)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == made[::-1]


@on_both_databases
async def test_listing_filters(api_without_temporal: Caller) -> None:
    api = api_without_temporal
    await _ended_enrollments(api.services.database, api, 2)
    active = await api.enroll(contact={"email": "active@example.com"})

    async def ids(**query: Any) -> list[str]:
        return [item["id"] for item in (await api.get("/v1/enrollments", **query)).json()["items"]]

    assert await ids(status="active") == [active["id"]]
    assert await ids(contact_id=active["contact_id"]) == [active["id"]]
    assert len(await ids(status="ended", flow="onboarding")) == 2
    assert await ids(flow="nurturing") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("limit=ten", "query.limit"),
        ("limit=99999999999999999999999", "query.limit"),
        ("cursor=nonsense", "query.cursor"),
        ("cursor=%00", "query.cursor"),
        ("cursor=", "query.cursor"),
        ("flow=%00", "query.flow"),
        ("flow=Onboarding", "query.flow"),
        ("status=paused", "query.status"),
        ("contact_id=ada", "query.contact_id"),
        ("contact_id=%00", "query.contact_id"),
        ("stauts=active", "query.stauts"),
        ("limit=%ff%fe", "query.limit"),
    ],
)
async def test_bad_question_names_the_field(api: Caller, query: str, field: str) -> None:
    assert fields_at_fault(assert_problem(await api.get(f"/v1/enrollments?{query}"), 422)) == [field]


async def _ended_enrollments(database: Database, api: Caller, count: int) -> list[str]:
    """Rows as long-gone enrollments leave them, oldest first."""
    ada = await api.contact()
    rows = [
        EnrollmentRow(
            flow="onboarding",
            contact_id=ada["id"],
            status="ended",
            ended_at=now() - timedelta(days=count),
            exit=Exit.COMPLETED,
        )
        for _ in range(count)
    ]
    ids = [row.id for row in rows]
    async with database.write() as session:
        session.add_all(rows)
    return ids
