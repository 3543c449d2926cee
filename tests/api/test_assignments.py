"""Leads through the API: to whom they are offered, and what the reps answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from domain.people import Person
from runtime.settings import Settings
from store.people_tables import AssignmentRow
from store.tables import now
from tests.api.caller import Caller, assert_problem, calling, client_of_nobody
from tests.api.databases import on_both_databases
from tests.api.office import Office, office_of

NOBODY = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"


@pytest.fixture
async def office(api: Caller, temporal: WorkflowEnvironment) -> AsyncIterator[Office]:
    async with office_of(api, temporal.client) as office:
        yield office


@pytest.fixture
async def rosa(office: Office) -> Person:
    return await office.person("Rosa", "sales")


async def _answer(
    office: Office, offer: AssignmentRow, person: Person, word: str = "accept", key: str | None = None, **body: Any
) -> httpx.Response:
    return await office.post(f"/v1/assignments/{offer.id}/{word}", person, body or None, key)


async def _row(office: Office, offer: AssignmentRow) -> AssignmentRow:
    async with office.api.services.database.read() as session:
        return await session.get_one(AssignmentRow, offer.id)


@on_both_databases
async def test_rep_accepts_the_lead_that_is_theirs(office: Office, rosa: Person) -> None:
    offer, bo = await office.offer(rosa, number=3), await office.person("Bo", "sales")
    assert_problem(await _answer(office, offer, bo), 403, "not-yours")
    taken = await _answer(office, offer, rosa, key="k1", comment="Mine")
    assert (taken.status_code, taken.json()["choice"]) == (200, "accept")
    (listed,) = (await office.api.get("/v1/assignments", status="accepted")).json()["items"]
    assert (listed["id"], listed["person_id"], listed["answer"]) == (offer.id, rosa.id, taken.json())
    assert listed["reasons"] == offer.reasons
    assert (await _row(office, offer)).released_at is None
    assert (await _answer(office, offer, rosa, key="k1", comment="Mine")).json() == taken.json()
    problem = assert_problem(await _answer(office, offer, rosa, "decline"), 409, "no-longer-pending")
    assert problem["detail"].startswith("it was accepted on 20")


@on_both_databases
async def test_lead_that_is_declined_takes_no_capacity(office: Office, rosa: Person) -> None:
    offer = await office.offer(rosa)
    assert (await _answer(office, offer, rosa, "decline", comment="No time")).is_success
    row = await _row(office, offer)
    assert (row.status, row.released_at is not None) == ("declined", True)
    problem = assert_problem(await _answer(office, offer, rosa), 409, "no-longer-pending")
    assert problem["detail"].startswith("it was declined on 20")


async def test_of_two_answers_at_once_one_counts(office: Office, rosa: Person) -> None:
    offer = await office.offer(rosa)
    answers = await asyncio.gather(*(_answer(office, offer, rosa, word) for word in ("accept", "decline")))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


@on_both_databases
async def test_leads_offered_to_a_rep_who_leaves_go_on_at_once(office: Office, rosa: Person) -> None:
    offers, of_bo = [await office.offer(rosa) for _ in range(2)], await office.offer(await office.person("Bo", "sales"))
    changed = await office.api.http.patch(f"/v1/people/{rosa.id}", json={"active": False})
    assert (changed.status_code, changed.json()["active"]) == (200, False)
    for offer in offers:
        row = await _row(office, offer)
        assert (row.status, row.released_at is not None) == ("declined", True)
    assert (await _row(office, of_bo)).status == "offered"
    timeline = (await office.api.get(f"/v1/contacts/{offers[0].contact_id}/timeline", kind="lead.declined")).json()
    assert [entry["text"] for entry in timeline["items"]] == ["Rosa declined the lead “Cauce: not active any more”"]


async def test_a_rep_leaves_also_while_temporal_is_down_and_the_next_change_passes_their_leads_on(
    settings: Settings, office: Office, rosa: Person, unused_port: Callable[[], int]
) -> None:
    offer = await office.offer(rosa)
    leaves = {"active": False}
    async with calling(settings, await client_of_nobody(unused_port())) as cut_off:
        assert (await cut_off.http.patch(f"/v1/people/{rosa.id}", json=leaves)).is_success
    assert (await _row(office, offer)).status == "offered"
    assert (await office.api.http.patch(f"/v1/people/{rosa.id}", json=leaves)).is_success
    assert (await _row(office, offer)).status == "declined"


async def test_offer_that_lapsed_is_not_taken_any_more(office: Office, rosa: Person) -> None:
    offer = await office.offer(rosa)
    async with office.api.services.database.write() as session:
        row = await session.get_one(AssignmentRow, offer.id)
        row.status, row.closed_at = "lapsed", now()
        session.add(row)
    problem = assert_problem(await _answer(office, offer, rosa), 409, "no-longer-pending")
    assert problem["detail"].startswith("it lapsed without an answer on 20")


async def test_lead_of_the_queue_is_offered_to_nobody(office: Office, rosa: Person) -> None:
    queued = await office.queued()
    assert_problem(await _answer(office, queued, rosa), 409, "no-longer-pending")


async def test_assignments_are_found_by_status_and_person(office: Office, rosa: Person) -> None:
    first, second, queued = await office.offer(rosa), await office.offer(rosa), await office.queued()
    assert (await _answer(office, first, rosa, "decline")).is_success

    async def found(**query: Any) -> list[str]:
        return [item["id"] for item in (await office.api.get("/v1/assignments", **query)).json()["items"]]

    assert await found() == [queued.id, second.id, first.id]
    assert await found(person_id=rosa.id) == [second.id, first.id]
    assert await found(person_id=rosa.id, status="offered") == [second.id]
    assert await found(status="queued") == [queued.id]
    page = (await office.api.get("/v1/assignments", limit=2)).json()
    assert await found(cursor=page["next_cursor"]) == [first.id]


async def test_without_temporal_the_same_key_answers_later(
    settings: Settings, office: Office, rosa: Person, unused_port: Callable[[], int]
) -> None:
    offer = await office.offer(rosa)
    async with calling(settings, await client_of_nobody(unused_port())) as cut_off:
        away = Office(cut_off, await client_of_nobody(unused_port()))
        assert_problem(await _answer(away, offer, rosa, key="k1"), 503, "flow-unavailable")
    assert (await _answer(office, offer, rosa, key="k1")).is_success


async def test_unknown_assignment_is_not_found(office: Office, rosa: Person) -> None:
    for word in ("accept", "decline"):
        assert_problem(await office.post(f"/v1/assignments/{NOBODY}/{word}", rosa), 404, "not-found")
