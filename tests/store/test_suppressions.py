from __future__ import annotations

from datetime import timedelta

from domain.contacts import ContactProfile
from domain.suppressions import SuppressionReason
from store.contacts import upsert_contact
from store.database import Database
from store.suppressions import Position, page_of_suppressions, suppress
from store.tables import ContactRow, SuppressionRow, now, on_clock
from tests.address_keys import ADDRESS_KEYS

MANUAL, COMPLAINT, HARD_BOUNCE = SuppressionReason.MANUAL, SuppressionReason.COMPLAINT, SuppressionReason.HARD_BOUNCE


async def listed(database: Database, **filters: object) -> list[SuppressionRow]:
    async with database.read() as session:
        return await page_of_suppressions(session, **{"limit": 100, **filters})  # type: ignore[arg-type]


async def test_a_suppression_knows_the_contact_who_has_the_address_and_forgets_them_with_the_contact(
    database: Database, ada: ContactRow
) -> None:
    async with database.write() as session:
        await suppress(session, "ADA@example.com", MANUAL, "test", "by phone")
    (row,) = await listed(database)
    assert (row.contact_id, row.note) == (ada.id, "by phone")
    async with database.write() as session:
        await session.delete(await session.get_one(ContactRow, ada.id))
    assert [row.contact_id for row in await listed(database)] == [None]


async def test_an_address_that_was_suppressed_first_is_known_as_the_contacts_who_comes_with_it(
    database: Database,
) -> None:
    async with database.write() as session:
        await suppress(session, "bo@example.com", MANUAL, "test")
        await suppress(session, "eve@example.com", MANUAL, "test")
    async with database.write() as session:
        bo = (await upsert_contact(session, ContactProfile(email="Bo@example.com"), {}, "test")).contact
    assert [row.contact_id for row in await listed(database, email="bo@example.com")] == [bo.id]
    assert [row.contact_id for row in await listed(database, email="eve@example.com")] == [None]


async def test_pages_come_newest_first_and_miss_and_repeat_nothing_although_many_are_of_one_moment(
    database: Database,
) -> None:
    moment = now()
    for age in range(3):
        with on_clock(lambda age=age: moment - timedelta(minutes=age)):  # type: ignore[misc]
            async with database.write() as session:
                for name in ("ada", "bo", "eve"):
                    for reason in (MANUAL, COMPLAINT):
                        await suppress(session, f"{name}-{age}@example.com", reason, "test")
    all_of_them = await listed(database)
    assert len(all_of_them) == 18
    assert [row.created_at for row in all_of_them] == sorted((row.created_at for row in all_of_them), reverse=True)
    for limit in (1, 4, 6):
        paged: list[SuppressionRow] = []
        while page := await listed(database, limit=limit, before=_position(paged[-1]) if paged else None):
            paged += page
        assert paged == all_of_them


async def test_filters_find_an_address_kept_under_an_earlier_key_too(database: Database, database_url: str) -> None:
    earlier = Database(database_url, ["a key from before"])
    async with earlier.write() as session:
        await suppress(session, "ada@example.com", MANUAL, "test")
    await earlier.close()
    rotated = Database(database_url, [*ADDRESS_KEYS, "a key from before"])
    async with rotated.write() as session:
        await suppress(session, "ada@example.com", COMPLAINT, "test")
        await suppress(session, "bo@example.com", COMPLAINT, "test")
    assert {row.reason for row in await listed(rotated, email="ada@example.com")} == {MANUAL, COMPLAINT}
    assert len(await listed(rotated, reason=COMPLAINT)) == 2
    assert await listed(rotated, email="ada@example.com", reason=HARD_BOUNCE) == []
    await rotated.close()


def _position(row: SuppressionRow) -> Position:
    return Position(row.created_at, row.email_hash, row.reason)
