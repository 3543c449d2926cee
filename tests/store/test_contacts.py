from __future__ import annotations

import asyncio

from sqlmodel import select

from domain.contacts import ContactProfile
from domain.suppressions import SuppressionReason
from store.consents import consent_of
from store.contacts import Upserted, contact_by_email, upsert_contact
from store.database import Database
from store.suppressions import suppress, suppressions_of
from store.tables import ConsentRow, ContactRow


async def upsert(database: Database, profile: ContactProfile, consent: dict[str, bool] | None = None) -> Upserted:
    async with database.write() as session:
        return await upsert_contact(session, profile, consent or {}, "api")


async def test_the_same_address_is_one_contact_whatever_its_case(database: Database) -> None:
    first = await upsert(database, ContactProfile(email="Grace@Example.com", first_name="Grace"))
    second = await upsert(database, ContactProfile(email="grace@example.COM", company="Navy"))
    assert (first.created, second.created) == (True, False)
    assert second.contact.id == first.contact.id
    assert (second.contact.first_name, second.contact.company) == ("Grace", "Navy")


async def test_an_update_touches_only_what_it_names(database: Database) -> None:
    await upsert(database, ContactProfile(email="g@example.com", locale="es", attributes={"plan": "team", "seats": 3}))
    updated = await upsert(
        database, ContactProfile(email="g@example.com", attributes={"seats": 4, "plan": None, "trial": True})
    )
    assert updated.contact.locale == "es"
    assert updated.contact.attributes == {"seats": 4, "trial": True}


async def test_concurrent_upserts_of_one_address_make_one_contact(database: Database) -> None:
    results = await asyncio.gather(*(upsert(database, ContactProfile(email="g@example.com")) for _ in range(10)))
    assert len({result.contact.id for result in results}) == 1
    assert sum(result.created for result in results) == 1


async def test_the_latest_word_on_a_topic_counts_and_earlier_ones_stay_as_proof(database: Database) -> None:
    profile = ContactProfile(email="g@example.com")
    for granted in (True, True, False):
        contact = (await upsert(database, profile, {"tips": granted, "news": True})).contact
    async with database.read() as session:
        assert await consent_of(session, contact.id) == {"tips": "withdrawn", "news": "granted"}
        proof = await session.exec(select(ConsentRow).where(ConsentRow.contact_id == contact.id))
        assert sorted((row.topic, row.state, row.source) for row in proof) == [
            ("news", "granted", "api"),
            ("tips", "granted", "api"),
            ("tips", "withdrawn", "api"),
        ]


async def test_a_suppression_outlives_the_contact_and_holds_no_address(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        assert await suppress(session, "ADA@example.com", SuppressionReason.UNSUBSCRIBED, "test")
        assert not await suppress(session, "ada@example.com", SuppressionReason.UNSUBSCRIBED, "test")
        await session.delete(await session.get_one(ContactRow, ada.id))
    async with database.read() as session:
        assert await contact_by_email(session, "ada@example.com") is None
        assert await suppressions_of(session, "ada@example.com") == {"unsubscribed"}
