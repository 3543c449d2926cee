"""Events through the API."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from domain.events import LEAD_OFFERED
from domain.memory import Happening
from store.tables import now
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases


async def _signals(handle: WorkflowHandle[Any, Any]) -> list[Happening]:
    return [
        Happening.model_validate_json(event.workflow_execution_signaled_event_attributes.input.payloads[0].data)
        async for event in handle.fetch_history_events()
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]


@on_both_databases
async def test_event_is_stored_and_told_to_the_enrollment_that_it_concerns(api: Caller) -> None:
    made = await api.enroll()
    answer = await api.post(
        "/v1/events",
        {
            "contact_id": made["contact_id"],
            "name": "activated",
            "id": "crm-1",
            "occurred_at": "2026-11-01T10:00:00-03:00",
            "properties": {"amount_cents": 12990},
        },
    )
    assert (answer.status_code, answer.json()) == (202, {"id": "crm-1"})
    (event,) = await api.events()
    assert (event.name, event.occurred_at.isoformat()) == ("activated", "2026-11-01T13:00:00+00:00")
    assert event.properties == {"amount_cents": 12990}
    assert event.delivered_at is not None
    handle = api.services.client.get_workflow_handle(made["workflow_id"])
    assert await _signals(handle) == [Happening.of("crm-1", "activated")]


@on_both_databases
async def test_event_of_a_known_id_is_taken_again_and_changes_nothing(api: Caller) -> None:
    made = await api.enroll()
    event = {"email": "Ada@Example.com", "name": "activated", "id": "crm-1"}
    answers = await asyncio.gather(*[api.post("/v1/events", event) for _ in range(6)])
    assert [(answer.status_code, answer.json()) for answer in answers] == [(202, {"id": "crm-1"})] * 6
    assert len(await api.events()) == 1
    assert len(await _signals(api.services.client.get_workflow_handle(made["workflow_id"]))) == 1


@on_both_databases
@pytest.mark.parametrize("other", [{"email": "grace@example.com"}, {"name": "unsubscribed"}])
async def test_event_id_is_good_for_one_event(api: Caller, other: dict[str, str]) -> None:
    await api.enroll()
    await api.post("/v1/contacts", {"email": "grace@example.com"})
    event = {"email": "ada@example.com", "name": "clicked", "id": "1"}
    assert (await api.post("/v1/events", event)).status_code == 202
    refused = await api.post("/v1/events", {**event, **other})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:cauce:problem:event-id-reused")
    assert refused.json()["errors"][0]["field"] == "body.id"
    assert len(await api.events()) == 1


async def test_event_without_an_id_gets_one(api: Caller) -> None:
    ada = await api.contact()
    answer = await api.post("/v1/events", {"contact_id": ada["id"], "name": "visited"})
    (event,) = await api.events()
    assert answer.json() == {"id": event.id}


async def test_event_that_no_flow_listens_for_is_kept_and_told_to_nobody(api: Caller) -> None:
    made = await api.enroll()
    await api.post("/v1/events", {"contact_id": made["contact_id"], "name": "visited"})
    (event,) = await api.events()
    assert event.delivered_at is not None
    assert await _signals(api.services.client.get_workflow_handle(made["workflow_id"])) == []


async def test_event_named_as_what_cauce_tells_of_the_queue_is_told_to_no_lead(api: Caller) -> None:
    made = await api.enroll("lead_assignment")
    await api.post("/v1/events", {"contact_id": made["contact_id"], "name": LEAD_OFFERED})
    (event,) = await api.events()
    assert event.delivered_at is not None
    assert await _signals(api.services.client.get_workflow_handle(made["workflow_id"])) == []


@on_both_databases
async def test_complaint_suppresses_the_address(api: Caller) -> None:
    ada = await api.contact()
    await api.post("/v1/events", {"contact_id": ada["id"], "name": "complained"})
    assert (await api.get(f"/v1/contacts/{ada['id']}")).json()["suppressed"] == ["complaint"]


async def test_event_of_an_unknown_contact_is_not_found(api: Caller) -> None:
    for who in ({"email": "nobody@example.com"}, {"contact_id": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"}):
        assert_problem(await api.post("/v1/events", {**who, "name": "visited"}), 404, "not-found")
    assert await api.events() == []


async def test_event_may_come_from_a_clock_that_is_a_little_ahead(api: Caller) -> None:
    ada = await api.contact()
    soon = (now() + timedelta(hours=23)).isoformat()
    answer = await api.post("/v1/events", {"contact_id": ada["id"], "name": "visited", "occurred_at": soon})
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Visited"}, "body.name"),
        ({"name": "v" * 65}, "body.name"),
        ({"name": "a\0"}, "body.name"),
        ({"name": None}, "body.name"),
        ({"id": ""}, "body.id"),
        ({"id": "x" * 201}, "body.id"),
        ({"id": "with space"}, "body.id"),
        ({"occurred_at": "yesterday"}, "body.occurred_at"),
        ({"occurred_at": "2026-11-01T10:00:00"}, "body.occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "body.occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "body.occurred_at"),
        ({"occurred_at": (now() + timedelta(days=2)).isoformat()}, "body.occurred_at"),
        ({"occurred_at": 1e300}, "body.occurred_at"),
        ({"properties": {"x": "\0"}}, "body.properties"),
        ({"properties": {"x": "y" * 20_001}}, "body.properties"),
        ({"properties": []}, "body.properties"),
        ({"email": "ada@example.com"}, "body"),
        ({"contact_id": None}, "body"),
        ({"contact_id": "ada"}, "body.contact_id"),
        ({"nmae": "visited"}, "body.nmae"),
    ],
)
async def test_bad_event_names_the_field_and_is_not_stored(api: Caller, change: dict[str, Any], field: str) -> None:
    ada = await api.contact()
    event = {"contact_id": ada["id"], "name": "visited", **change}
    assert fields_at_fault(assert_problem(await api.post("/v1/events", event), 422)) == [field]
    assert await api.events() == []
