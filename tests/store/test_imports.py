"""Imports as the database has them: contacts in bulk, as they would be one by one; who works on an import; faults."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from domain.contact_csv import Position
from domain.contacts import ContactProfile
from domain.import_columns import ContactLine, Fault
from domain.limits import MAX_OBJECT_CHARACTERS
from domain.suppressions import SuppressionReason
from store import imports
from store.contacts import upsert_contact
from store.contacts_in_bulk import Overtaken, Upserts, foreseen, upsert_contacts
from store.database import Database
from store.erasure_requests import request_erasure
from store.imports import ClaimLost, Counts
from store.list_tables import ImportedContactRow, ImportRow
from store.suppressions import suppress
from store.tables import ContactRow, SuppressionRow, new_id, now, on_clock
from tests.address_keys import ADDRESS_KEYS


def line(number: int, email: str, **given: Any) -> ContactLine:
    return ContactLine(number, ContactProfile(email=email, **given), {})


async def upsert(database: Database, *lines: ContactLine) -> Upserts:
    async with database.write() as session:
        return await upsert_contacts(session, lines)


def fates(upserts: Upserts) -> dict[int, str]:
    return {kept.line.line: kept.fate.value for kept in upserts.kept}


async def contacts(database: Database) -> dict[str, ContactRow]:
    async with database.read() as session:
        return {row.email: row for row in await session.exec(select(ContactRow))}


async def test_many_contacts_become_what_they_would_become_one_by_one(database: Database) -> None:
    profiles = [
        ContactProfile(email="b@example.com", first_name="Bo", attributes={"plan": "team"}),
        ContactProfile(email="a@example.com"),
        ContactProfile(email="b@example.com", attributes={"seats": 3}, locale="es-CL"),
        ContactProfile(email="a@example.com", country="CL", company="Ek"),
        ContactProfile(email="a@example.com", country="CL"),
    ]
    for profile in profiles:
        async with database.write() as session:
            await upsert_contact(session, profile, {}, "test")
    one_by_one = await contacts(database)
    async with database.write() as session:
        for row in one_by_one.values():
            await session.delete(row)

    upserts = await upsert(database, *(ContactLine(at, profile, {}) for at, profile in enumerate(profiles)))
    at_once = await contacts(database)
    made = {"id", "created_at", "updated_at"}
    assert {row.email: row.model_dump(exclude=made) for row in at_once.values()} == {
        row.email: row.model_dump(exclude=made) for row in one_by_one.values()
    }
    assert fates(upserts) == {0: "created", 1: "created", 2: "updated", 3: "updated", 4: "unchanged"}
    assert {kept.contact_id for kept in upserts.kept} == {row.id for row in at_once.values()}


async def test_what_is_said_changes_and_the_rest_stays(database: Database) -> None:
    given = {"first_name": "Ada", "attributes": {"plan": "team", "seats": 3}}
    await upsert(database, line(2, "ada@example.com", **given), line(3, "bo@example.com"))
    before = await contacts(database)
    upserts = await upsert(
        database,
        line(2, "ada@example.com", company="Ek", attributes={"seats": 4}),
        line(3, "bo@example.com", locale="en"),
        line(4, "ada@example.com", attributes={"seats": 4}),
    )
    assert fates(upserts) == {2: "updated", 3: "unchanged", 4: "unchanged"}
    after = await contacts(database)
    ada = after["ada@example.com"]
    assert (ada.first_name, ada.company, ada.attributes) == ("Ada", "Ek", {"plan": "team", "seats": 4})
    assert ada.updated_at > before["ada@example.com"].updated_at
    assert after["bo@example.com"] == before["bo@example.com"]
    assert upserts.contacts.keys() == {row.id for row in after.values()}


async def test_what_is_foreseen_is_what_comes_and_nothing_is_written(database: Database) -> None:
    await upsert(database, line(2, "ada@example.com"))
    lines = [line(2, "ada@example.com", first_name="Ada"), line(3, "bo@example.com"), line(4, "bo@example.com")]
    before = await contacts(database)
    async with database.write() as session:
        expected = await foreseen(session, lines)
    assert await contacts(database) == before
    assert fates(expected) == fates(await upsert(database, *lines)) == {2: "updated", 3: "created", 4: "unchanged"}


async def test_nothing_is_added_to_who_is_being_erased_nor_more_than_a_contact_holds(
    database: Database, ada: ContactRow
) -> None:
    async with database.write() as session:
        await request_erasure(session, ada.id, "api")
    much = "x" * (MAX_OBJECT_CHARACTERS // 2)
    upserts = await upsert(
        database,
        line(2, ada.email, first_name="Ada"),
        line(3, "bo@example.com", attributes={"a": much}),
        line(4, "bo@example.com", attributes={"b": much}),
        line(5, "bo@example.com", first_name="Bo"),
    )
    assert [(fault.line, fault.column) for fault in upserts.faults] == [(2, None), (4, None)]
    assert "is being erased" in upserts.faults[0].message
    assert "more than 20000 characters" in upserts.faults[1].message
    assert fates(upserts) == {3: "created", 5: "updated"}
    after = await contacts(database)
    assert (after[ada.email].first_name, list(after["bo@example.com"].attributes)) == ("", ["a"])


async def test_a_new_contact_is_known_at_the_suppressions_of_their_address(database: Database) -> None:
    async with database.write() as session:
        for name in ("bo", "carl", "dora"):
            await suppress(session, f"{name}@example.com", SuppressionReason.MANUAL, "api")
        await suppress(session, "bo@example.com", SuppressionReason.COMPLAINT, "api")
    await upsert(database, line(2, "bo@example.com"), line(3, "ada@example.com"), line(4, "carl@example.com"))
    known = await contacts(database)
    async with database.read() as session:
        linked = sorted(await session.exec(select(SuppressionRow.contact_id)), key=str)
    bo, carl = known["bo@example.com"].id, known["carl@example.com"].id
    assert linked == sorted([bo, bo, carl, None], key=str)


async def test_files_and_single_contacts_at_once_wait_for_each_other_in_no_circle(database: Database) -> None:
    emails = [f"c{number:03}@example.com" for number in range(150)]

    async def import_(order: list[str], name: str) -> None:
        while True:
            try:
                await upsert(database, *(line(at, email, first_name=name) for at, email in enumerate(order)))
            except Overtaken:
                continue
            return

    async def single(email: str) -> None:
        async with database.write() as session:
            await upsert_contact(session, ContactProfile(email=email, company="Ek"), {}, "test")

    orders = [emails, emails[::-1], emails[75:] + emails[:75], emails[::2] + emails[1::2]]
    for _ in ("all are new", "all are known"):
        await asyncio.gather(
            *(import_(order, f"n{at}") for at, order in enumerate(orders)), *(single(email) for email in emails[::20])
        )
        after = await contacts(database)
        assert sorted(after) == emails
        assert len({row.first_name for row in after.values()}) == 1, "whoever came last wins at every address"


async def test_who_is_overtaken_writes_nothing(postgres_url: str) -> None:
    database = Database(postgres_url, ADDRESS_KEYS)
    async with database.write() as session:
        await upsert_contact(session, ContactProfile(email="bo@example.com"), {}, "test")
        late = asyncio.create_task(upsert(database, line(2, "ada@example.com"), line(3, "bo@example.com")))
        # Long enough for it to come to where it waits; were it slower, it would find the contact, and the test fail.
        await asyncio.sleep(0.3)
    with pytest.raises(Overtaken):
        await late
    assert list(await contacts(database)) == ["bo@example.com"]
    await database.close()


async def begun(database: Database, claim: str, key: str | None = "key") -> ImportRow:
    async with database.write() as session:
        row = ImportRow(idempotency_key=key)
        assert await imports.begin(session, row, claim)
    return row


async def test_one_upload_at_a_time_works_on_an_import_until_it_leaves_or_shows_no_sign_of_life(
    database: Database,
) -> None:
    first, second = new_id(), new_id()
    row = await begun(database, first)

    async def claim(by: str) -> bool:
        async with database.write() as session:
            return await imports.claim_import(session, row.id, by) is not None

    assert not await claim(second)
    async with database.write() as session:
        assert not await imports.begin(session, ImportRow(idempotency_key="key"), second), "it has begun already"
        await imports.release(session, row.id, second)
    assert not await claim(second), "nobody releases what another one holds"
    later = now() + imports.CLAIM_LASTS + timedelta(seconds=1)
    with on_clock(lambda: later):
        assert await claim(second)
        async with database.write() as session:
            with pytest.raises(ClaimLost):
                await imports.claimed(session, row.id, first)
    async with database.write() as session:
        await imports.release(session, row.id, second)
    assert await claim(first)


async def test_progress_adds_up_and_a_finished_import_is_nobodys(database: Database) -> None:
    claim = new_id()
    row = await begun(database, claim)
    for counts, position in (
        (Counts(created=2, bad=1), Position(100, 4, "aa")),
        (Counts(updated=1, unchanged=3), Position(250, 8, "bb")),
    ):
        async with database.write() as session:
            held = await imports.claimed(session, row.id, claim)
            await imports.note_progress(session, held, counts, position)
    async with database.write() as session:
        await imports.note_end(session, await imports.claimed(session, row.id, claim))
    async with database.write() as session:
        found = await imports.import_by_key(session, "key")
        assert found is not None
        assert await imports.claim_import(session, row.id, new_id()) is None
    assert (found.created, found.updated, found.unchanged, found.bad) == (2, 1, 3, 1)
    assert (found.bytes_done, found.lines, found.digest) == (250, 8, "bb")
    assert (found.status, found.claim) == ("finished", None)
    assert found.finished_at is not None


async def test_faults_are_listed_by_line_a_page_at_a_time(database: Database) -> None:
    row, other = await begun(database, new_id()), await begun(database, new_id(), key=None)
    faults = [Fault(3, "email", "a"), Fault(3, "country", "b"), Fault(2, None, "c"), Fault(11, "email", "d")]
    async with database.write() as session:
        await imports.keep_faults(session, row.id, faults)
        await imports.keep_faults(session, other.id, faults[:1])
    async with database.read() as session:
        first = await imports.page_of_faults(session, row.id, limit=2)
        rest = await imports.page_of_faults(session, row.id, limit=9, after=(first[-1].line, first[-1].number))
    assert [(each.line, each.number, each.message) for each in (*first, *rest)] == [
        (2, 1, "c"),
        (3, 1, "a"),
        (3, 2, "b"),
        (11, 1, "d"),
    ]


async def test_imports_are_listed_newest_first_or_found_by_their_key(database: Database) -> None:
    rows = [await begun(database, new_id(), key=key) for key in ("a", "b", None)]
    async with database.read() as session:
        newest = await imports.page_of_imports(session, limit=2)
        rest = await imports.page_of_imports(session, limit=2, before=newest[-1].id)
        found = await imports.page_of_imports(session, limit=2, idempotency_key="b")
    assert [row.id for row in (*newest, *rest)] == [row.id for row in reversed(rows)]
    assert [row.id for row in found] == [rows[1].id]


async def test_who_was_in_an_import_is_kept_once(database: Database, ada: ContactRow) -> None:
    row = await begun(database, new_id())
    for _ in range(2):
        async with database.write() as session:
            await imports.keep_imported(session, row.id, [ada.id, ada.id])
    async with database.read() as session:
        query = select(ImportedContactRow.contact_id).where(col(ImportedContactRow.import_id) == row.id)
        assert list(await session.exec(query)) == [ada.id]
