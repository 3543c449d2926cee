"""Addresses that are not written to, as integrators and operators see and change them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from domain.suppressions import SuppressionReason
from store.suppressions import keyed_hash, suppress
from store.tables import ContactRow
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases

ADA = "ada@example.com"
PATH = "/v1/suppressions"


async def suppress_by_hand(api: Caller, email: str = ADA, **more: Any) -> httpx.Response:
    return await api.post(PATH, {"email": email, **more})


async def lift(api: Caller, email: str, reason: str) -> httpx.Response:
    return await api.http.delete(PATH, params={"email": email, "reason": reason})


async def reasons(api: Caller, **query: Any) -> list[str]:
    return [each["reason"] for each in (await api.get(PATH, **query)).json()["items"]]


@on_both_databases
async def test_an_address_is_suppressed_by_hand_once_and_shows_whose_it_is(api: Caller) -> None:
    contact = await api.contact()
    answer = await suppress_by_hand(api, "Ada@Example.com", note="asked for it by phone")
    assert answer.status_code == 201
    row = answer.json()
    assert row == {
        "email_hash": keyed_hash(api.services.settings.secret_keys()[0], ADA),
        "reason": "manual",
        "source": "api",
        "note": "asked for it by phone",
        "created_at": row["created_at"],
        "contact_id": contact["id"],
    }
    again = await suppress_by_hand(api, note="another note")
    assert (again.status_code, again.json()) == (200, row)
    assert (await api.get(PATH)).json() == {"items": [row], "next_cursor": None}
    assert (await api.get(f"/v1/contacts/{contact['id']}")).json()["suppressed"] == ["manual"]


async def test_an_address_that_no_contact_has_is_suppressed_and_known_as_theirs_who_comes_with_it(api: Caller) -> None:
    assert (await suppress_by_hand(api)).json()["contact_id"] is None
    contact = await api.contact()
    assert [each["contact_id"] for each in (await api.get(PATH, email=ADA)).json()["items"]] == [contact["id"]]


@pytest.mark.parametrize(
    ("reason", "event"), [("unsubscribed", "unsubscribed"), ("hard_bounce", "bounced"), ("complaint", "complained")]
)
async def test_by_hand_the_contact_leaves_as_by_the_event(api: Caller, reason: str, event: str) -> None:
    await api.enroll()
    for status in (201, 200):
        answer = await suppress_by_hand(api, reason=reason)
        assert answer.status_code == status
        assert (answer.json()["reason"], answer.json()["source"]) == (reason, "api")
    (recorded,) = await api.events()
    assert recorded.name == event
    assert recorded.delivered_at is not None
    assert await reasons(api) == [reason]


async def test_suppressed_as_a_decision_of_the_team_the_contact_stays_where_they_are(api: Caller) -> None:
    await api.enroll()
    await suppress_by_hand(api)
    assert await api.events() == []


@on_both_databases
async def test_suppressed_many_times_at_once_it_is_one_suppression_and_one_event(api: Caller) -> None:
    await api.enroll()
    answers = await asyncio.gather(*(suppress_by_hand(api, reason="complaint") for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len(await api.events()) == 1
    assert await reasons(api) == ["complaint"]


async def test_the_list_is_newest_first_a_page_at_a_time_and_filtered(api: Caller) -> None:
    for number in range(7):
        await suppress_by_hand(api, f"c{number}@example.com", reason="complaint" if number % 2 else "manual")
    await suppress_by_hand(api, "c3@example.com")
    found: list[Any] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = (await api.get(PATH, **query)).json()
        found += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert len(found) == len({(each["email_hash"], each["reason"]) for each in found}) == 8
    moments = [each["created_at"] for each in found]
    assert moments == sorted(moments, reverse=True)
    assert await reasons(api, reason="complaint") == ["complaint"] * 3
    assert await reasons(api, email="C3@example.com") == ["manual", "complaint"]
    assert await reasons(api, email="c3@example.com", reason="hard_bounce") == []
    assert await reasons(api, email="nobody@example.com") == []


@on_both_databases
async def test_lifting_one_suppression_leaves_the_others(api: Caller) -> None:
    for reason in ("unsubscribed", "manual"):
        await suppress_by_hand(api, reason=reason)
    lifted = await lift(api, "ADA@example.com", "unsubscribed")
    assert (lifted.status_code, lifted.content) == (204, b"")
    assert await reasons(api) == ["manual"]
    assert_problem(await lift(api, ADA, "unsubscribed"), 404, "not-found")


async def test_a_sunset_is_lifted_by_hand_too(api: Caller) -> None:
    async with api.services.database.write() as session:
        await suppress(session, ADA, SuppressionReason.SUNSET, "flow")
    assert (await lift(api, ADA, "sunset")).status_code == 204


async def test_an_erasure_is_lifted_for_somebody_who_has_come_back_alone(api: Caller) -> None:
    assert_problem(await lift(api, ADA, "erased"), 404, "not-found")
    async with api.services.database.write() as session:
        await suppress(session, ADA, SuppressionReason.ERASED, "erasure")
    assert_problem(await lift(api, ADA, "erased"), 409, "erased")
    old = {"granted": True, "source": "old list", "recorded_at": "2025-01-01T09:00:00Z"}
    for consent in ({}, {"offers": False}, {"offers": old}):
        await api.post("/v1/contacts", {"email": ADA, "consent": consent})
        assert_problem(await lift(api, ADA, "erased"), 409, "erased")
    since = {"granted": True, "source": "shop", "recorded_at": datetime.now(UTC).isoformat()}
    await api.post("/v1/contacts", {"email": ADA, "consent": {"newsletter": since}})
    assert (await lift(api, ADA, "erased")).status_code == 204
    assert await reasons(api) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.email"),
        ({"email": "nobody"}, "body.email"),
        ({"email": ADA, "reason": "sunset"}, "body.reason"),
        ({"email": ADA, "reason": "erased"}, "body.reason"),
        ({"email": ADA, "note": "x" * 201}, "body.note"),
        ({"email": ADA, "nota": "x"}, "body.nota"),
    ],
)
async def test_what_cannot_be_suppressed_by_hand_is_refused(api: Caller, body: Any, field: str) -> None:
    assert fields_at_fault(assert_problem(await api.post(PATH, body), 422)) == [field]
    assert await reasons(api) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"reason": "gone"}, "query.reason"),
        ({"email": "nobody"}, "query.email"),
        ({"cursor": "AAAA"}, "query.cursor"),
        ({"cursor": "W10"}, "query.cursor"),
        ({"limit": 101}, "query.limit"),
        ({"emial": "x"}, "query.emial"),
    ],
)
async def test_an_ill_formed_question_names_the_field(api: Caller, query: dict[str, Any], field: str) -> None:
    assert fields_at_fault(assert_problem(await api.get(PATH, **query), 422)) == [field]


async def test_lifting_needs_to_know_which(api: Caller) -> None:
    for query in ({}, {"email": ADA}, {"reason": "manual"}):
        assert_problem(await api.http.delete(PATH, params=query), 422)


async def test_a_suppression_tells_nothing_of_a_contact_who_is_gone(api: Caller) -> None:
    contact = await api.contact(consent={})
    await suppress_by_hand(api)
    async with api.services.database.write() as session:
        await session.delete(await session.get_one(ContactRow, contact["id"]))
    (row,) = (await api.get(PATH)).json()["items"]
    assert row["contact_id"] is None
    assert ADA not in str(row)
