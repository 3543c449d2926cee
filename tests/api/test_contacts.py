"""Contacts through the API."""

from __future__ import annotations

import pytest

from domain.suppressions import SuppressionReason
from store.consents import consent_of
from store.suppressions import suppress
from store.tables import ContactRow
from tests.api.caller import Caller, assert_problem, fields_at_fault
from tests.api.databases import on_both_databases

BO = {
    "email": "bo@example.com",
    "first_name": "Bo",
    "last_name": "Ek",
    "locale": "es-CL",
    "time_zone": "America/Santiago",
    "country": "CL",
    "region": "Valparaíso",
    "company": "Ek y Cía.",
    "attributes": {"plan": "team", "seats": 12},
    "consent": {"product-news": True, "offers": False},
}


@on_both_databases
async def test_contact_is_created_and_reads_back_as_it_was_given(api: Caller) -> None:
    answer = await api.post("/v1/contacts", BO)
    assert answer.status_code == 201
    contact = answer.json()
    words = {"product-news": "granted", "offers": "withdrawn"}
    assert contact == {**contact, **BO, "consent": words, "suppressed": []}
    assert answer.headers["location"] == f"/v1/contacts/{contact['id']}"
    assert (await api.get(answer.headers["location"])).json() == contact
    assert (await api.get("/v1/contacts", email="BO@Example.com")).json() == contact


@on_both_databases
async def test_contact_known_by_address_is_updated_where_the_request_says_so(api: Caller) -> None:
    first = (await api.post("/v1/contacts", BO)).json()
    answer = await api.post(
        "/v1/contacts",
        {"email": "Bo@Example.com", "company": "Ek AB", "attributes": {"seats": 20, "plan": None}, "consent": {}},
    )
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["id"] == first["id"]
    assert (changed["company"], changed["first_name"], changed["locale"]) == ("Ek AB", "Bo", "es-CL")
    assert changed["attributes"] == {"seats": 20}
    assert changed["consent"] == {"product-news": "granted", "offers": "withdrawn"}
    assert changed["updated_at"] > first["updated_at"]
    assert changed["created_at"] == first["created_at"]


@on_both_databases
async def test_consent_withdrawn_is_the_latest_word_and_its_source_is_kept(api: Caller) -> None:
    contact = (await api.post("/v1/contacts", BO)).json()
    withdrawn = {"email": "bo@example.com", "consent": {"product-news": False}}
    assert (await api.post("/v1/contacts", withdrawn)).json()["consent"]["product-news"] == "withdrawn"
    async with api.services.database.read() as session:
        assert await consent_of(session, contact["id"]) == {"product-news": "withdrawn", "offers": "withdrawn"}


async def test_contact_shows_what_flows_and_people_made_of_them(api: Caller) -> None:
    contact = await api.contact()
    assert (contact["lifecycle_stage"], contact["score"], contact["owner_id"]) == (None, 0, None)
    known = {"lifecycle_stage": "customer", "score": 40, "owner_id": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"}
    async with api.services.database.write() as session:
        (await session.get_one(ContactRow, contact["id"])).sqlmodel_update(known)
    assert known.items() <= (await api.get(f"/v1/contacts/{contact['id']}")).json().items()


@on_both_databases
async def test_suppressed_address_shows_why(api: Caller) -> None:
    contact = await api.contact()
    async with api.services.database.write() as session:
        await suppress(session, "ada@example.com", SuppressionReason.HARD_BOUNCE, "test")
    assert (await api.get(f"/v1/contacts/{contact['id']}")).json()["suppressed"] == ["hard_bounce"]


async def test_unknown_contacts_are_not_found(api: Caller) -> None:
    assert_problem(await api.get("/v1/contacts/0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"), 404, "not-found")
    assert_problem(await api.get("/v1/contacts", email="nobody@example.com"), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/contacts/not-an-id", "path.contact_id"),
        ("/v1/contacts/%00", "path.contact_id"),
        ("/v1/contacts", "query.email"),
        ("/v1/contacts?email=nobody", "query.email"),
        ("/v1/contacts?email=a%00@example.com", "query.email"),
        ("/v1/contacts?email=ada@example.com&emial=x", "query.emial"),
    ],
)
async def test_ill_formed_question_names_the_field(api: Caller, path: str, field: str) -> None:
    assert fields_at_fault(assert_problem(await api.get(path), 422)) == [field]


async def test_attributes_that_grow_too_large_over_several_upserts_are_refused(api: Caller) -> None:
    for name, status in (("first", 201), ("second", 422)):
        answer = await api.post("/v1/contacts", {"email": "ada@example.com", "attributes": {name: "x" * 15_000}})
        assert answer.status_code == status
    assert answer.json()["errors"][0]["field"] == "body.attributes"
    assert list((await api.get("/v1/contacts?email=ada@example.com")).json()["attributes"]) == ["first"]


@pytest.mark.parametrize("email", ["İ" * 118 + "@example.com", "é@example.com"])
async def test_addresses_that_no_provider_would_take_are_refused(api: Caller, email: str) -> None:
    assert (await api.post("/v1/contacts", {"email": email})).status_code == 422
