"""A contact's timeline through the API."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from api.routers.timeline import cursor_of, position_of
from domain.messages import MessageStatus
from store.ledger_tables import MessageRow
from store.tables import now
from store.timeline import Position
from tests.api.caller import ADA, Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases

UNKNOWN = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"


async def timeline(api: Caller, contact_id: str, **query: Any) -> list[dict[str, Any]]:
    """All pages of it."""
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await api.get(f"/v1/contacts/{contact_id}/timeline", limit=2, **query, **cursor)
        assert answer.status_code == 200, answer.text
        seen += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return seen
        cursor = {"cursor": answer.json()["next_cursor"]}


@on_both_databases
async def test_what_happened_and_what_did_not_comes_newest_first(api_without_temporal: Caller) -> None:
    api = api_without_temporal
    made = await api.enroll()
    await api.post(f"/v1/enrollments/{made['id']}/hold")
    async with api.services.database.write() as session:
        row = MessageRow(
            flow=made["flow"],
            enrollment_id=made["id"],
            contact_id=made["contact_id"],
            step="tip",
            status=MessageStatus.SKIPPED,
        )
        row.reason = "no consent to product-news"
        session.add(row)
    await api.post(f"/v1/enrollments/{made['id']}/resume")
    await api.post("/v1/events", {"email": ADA["email"], "name": "clicked", "id": "crm-4711"})
    seen = await timeline(api, made["contact_id"])
    assert [(each["kind"], each["text"]) for each in seen] == [
        ("event.clicked", "Clicked a link"),
        ("resume.enrollment", "Resumed in onboarding"),
        ("message.skipped", "Email tip was not sent: no consent to product-news"),
        ("hold.enrollment", "Held in onboarding: nothing begins until it is resumed"),
        ("enrollment.entered", "Entered onboarding, through the API"),
        ("consent.granted", "Agreed to email about product-news (source: api)"),
        ("contact.created", "Became known"),
    ]
    (skipped,) = await timeline(api, made["contact_id"], kind="message")
    assert skipped == {
        "at": skipped["at"],
        "kind": "message.skipped",
        "text": "Email tip was not sent: no consent to product-news",
        "flow": "onboarding",
        "enrollment_id": made["id"],
        "step": "tip",
        "ref": row.id,
        "details": {},
    }
    (clicked,) = await timeline(api, made["contact_id"], kind="event.clicked")
    assert (clicked["ref"], clicked["details"]) == ("crm-4711", {"name": "clicked", "properties": {}})
    assert await timeline(api, made["contact_id"], kind="mess") == []


async def test_unknown_contact_is_not_found(api_without_temporal: Caller) -> None:
    assert_problem(await api_without_temporal.get(f"/v1/contacts/{UNKNOWN}/timeline"), 404, "not-found")


def _encoded(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("kind=Message", "query.kind"),
        ("kind=%00", "query.kind"),
        ("cursor=", "query.cursor"),
        ("cursor=nonsense", "query.cursor"),
        ("cursor=%00", "query.cursor"),
        (f"cursor={_encoded('2026-11-23T12:00:00Z', 'event')}", "query.cursor"),
        (f"cursor={_encoded('2026-11-23T12:00:00Z', 'nothing', 'x')}", "query.cursor"),
        (f"cursor={_encoded('2026-11-23T12:00:00Z', 'event', 'x' + chr(0))}", "query.cursor"),
        (f"cursor={_encoded('2026-11-23T12:00:00Z', 'event', 7)}", "query.cursor"),
        (f"cursor={_encoded('0001-01-01T00:00:00+23:00', 'event', 'x')}", "query.cursor"),
        (f"cursor={_encoded('2026-11-23T12:00:00', 'event', 'x')}", "query.cursor"),
        (f"cursor={'W1tb' * 140}", "query.cursor"),
        ("before=now", "query.before"),
    ],
)
async def test_bad_question_names_the_field(api_without_temporal: Caller, query: str, field: str) -> None:
    answer = await api_without_temporal.get(f"/v1/contacts/{UNKNOWN}/timeline?{query}")
    assert fields_at_fault(assert_problem(answer, 422)) == [field]


def test_a_cursor_is_read_as_it_was_written() -> None:
    position = Position(now(), "event", "an id of ~ any (printable) kind")
    assert position_of(cursor_of(position)) == position
