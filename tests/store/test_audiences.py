from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from pydantic import JsonValue

from domain.audiences import AudienceSource
from store import personal_data
from store.audiences import Member, UnknownSource, keep_audience, page_of_audience, require_source
from store.database import Database
from store.erasure_requests import request_erasure
from store.list_tables import ImportedContactRow, ImportRow, SegmentRow
from store.tables import ContactRow, new_id, now

ALL = 1_000


async def contacts(database: Database, count: int, country: str | None = None) -> list[str]:
    rows = [ContactRow(email=f"{new_id()}@example.com", locale="en", country=country) for _ in range(count)]
    async with database.write() as session:
        session.add_all(rows)
    return [row.id for row in rows]


async def kept(database: Database, source: AudienceSource, audience_id: str | None = None) -> list[Member]:
    audience_id = audience_id or new_id()
    async with database.write() as session:
        size = await keep_audience(session, audience_id, source, now())
        members = await page_of_audience(session, audience_id, -1, ALL)
    assert size == len(members)
    assert [each.position for each in members] == list(range(size))
    return members


def ids(members: list[Member]) -> set[str]:
    return {each.contact_id for each in members}


async def test_contacts_by_id_are_kept_once_and_whom_nobody_knows_is_left_out(database: Database) -> None:
    known = await contacts(database, 3)
    members = await kept(database, AudienceSource(contact_ids=(*known, known[0], str(uuid4()))))
    assert ids(members) == set(known)
    assert len(members) == 3


async def test_those_of_an_import_are_kept(database: Database) -> None:
    brought, others = await contacts(database, 3), await contacts(database, 2)
    async with database.write() as session:
        session.add_all(imports := [ImportRow(status="finished"), ImportRow(status="finished")])
        await session.flush()
        session.add_all(ImportedContactRow(import_id=imports[0].id, contact_id=each) for each in brought)
        session.add_all(ImportedContactRow(import_id=imports[1].id, contact_id=each) for each in others)
    assert ids(await kept(database, AudienceSource(import_id=imports[0].id))) == set(brought)


async def test_who_is_in_a_segment_at_that_moment_is_kept(database: Database) -> None:
    chileans = await contacts(database, 3, country="CL")
    await contacts(database, 2, country="PE")
    predicate: dict[str, JsonValue] = {"kind": "contact", "field": "country", "is_one_of": ["CL"]}
    async with database.write() as session:
        session.add(segment := SegmentRow(name="Chile", predicate=predicate))
    source, audience_id = AudienceSource(segment_id=segment.id), new_id()
    assert ids(await kept(database, source, audience_id)) == set(chileans)
    await contacts(database, 1, country="CL")
    assert ids(await kept(database, source, audience_id)) == set(chileans), "kept is kept"


async def test_who_is_being_erased_is_left_out_and_who_is_erased_later_leaves_a_gap(database: Database) -> None:
    erased, *others = await contacts(database, 5)
    async with database.write() as session:
        await request_erasure(session, erased, "api")
    audience_id = new_id()
    members = await kept(database, AudienceSource(contact_ids=(erased, *others)), audience_id)
    assert ids(members) == set(others)
    async with database.write() as session:
        await personal_data.delete_all(session, await session.get_one(ContactRow, members[1].contact_id))
        left = await page_of_audience(session, audience_id, -1, ALL)
    assert left == [members[0], *members[2:]]


async def test_the_order_is_drawn_by_lot(database: Database) -> None:
    known = await contacts(database, 30)
    orders = {
        tuple(each.contact_id for each in await kept(database, AudienceSource(contact_ids=tuple(known))))
        for _ in range(3)
    }
    assert len(orders) == 3
    assert tuple(known) not in orders


async def test_kept_by_two_at_once_it_is_kept_once(database: Database) -> None:
    source, audience_id = AudienceSource(contact_ids=tuple(await contacts(database, 20))), new_id()
    first, second = await asyncio.gather(*(kept(database, source, audience_id) for _ in range(2)))
    assert first == second


async def test_pages_go_through_all(database: Database) -> None:
    source, audience_id = AudienceSource(contact_ids=tuple(await contacts(database, 7))), new_id()
    members = await kept(database, source, audience_id)
    paged: list[Member] = []
    async with database.read() as session:
        while page := await page_of_audience(session, audience_id, paged[-1].position if paged else -1, 3):
            paged += page
    assert paged == members


async def test_a_source_that_is_not_there_is_refused(database: Database) -> None:
    async with database.write() as session:
        session.add(goes_on := ImportRow())
        session.add(dry_run := ImportRow(status="finished", dry_run=True))
    nowhere = str(uuid4())
    async with database.read() as session:
        for source in ({"segment_id": nowhere}, *({"import_id": each} for each in (nowhere, goes_on.id, dry_run.id))):
            with pytest.raises(UnknownSource):
                await require_source(session, AudienceSource.model_validate(source))
