"""An erasure that was asked for keeps its contact out of everything, and is certified under no name."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlmodel import select

from domain.contacts import ContactProfile
from domain.erasure import Certificate, HistoriesDeleted, RowsDeleted
from domain.suppressions import SuppressionReason
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll
from store.erasure_requests import request_erasure
from store.erasures import (
    BeingErased,
    certificate,
    finish,
    mark_begun,
    not_begun,
    note,
    page_of_erasures,
    require_no_erasure,
)
from store.suppressions import email_hashes, suppressions_of
from store.tables import ContactRow, EnrollmentRow, ErasureRow, EventRow, now

HOUR = timedelta(hours=1)


async def asked_for(database: Database, contact: ContactRow) -> ErasureRow:
    async with database.write() as session:
        erasure = await request_erasure(session, contact.id, "api")
    assert erasure is not None
    return erasure


async def test_the_address_is_suppressed_and_the_flows_are_to_hear_of_it_at_once(
    database: Database, ada: ContactRow
) -> None:
    erasure = await asked_for(database, ada)
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == {SuppressionReason.ERASED}
        (event,) = await session.exec(select(EventRow))
        hashes = email_hashes(session, ada.email)
    assert (event.name, event.contact_id, event.delivered_at) == ("erased", ada.id, None)
    assert (erasure.contact_id, erasure.email_hash, erasure.finished_at) == (ada.id, hashes[0], None)


async def test_asked_twice_it_is_one_erasure_even_at_the_same_moment(database: Database, ada: ContactRow) -> None:
    asked = await asyncio.gather(*(asked_for(database, ada) for _ in range(4)))
    assert len({erasure.id for erasure in asked}) == 1
    async with database.read() as session:
        assert len(list(await session.exec(select(EventRow)))) == 1


async def test_nobody_is_erased_by_an_unknown_id(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        assert await request_erasure(session, "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11", "api") is None
        await require_no_erasure(session, ada.id)


async def test_who_is_being_erased_is_neither_enrolled_nor_changed(database: Database, ada: ContactRow) -> None:
    erasure = await asked_for(database, ada)
    with pytest.raises(BeingErased) as refusal:
        async with database.write() as session:
            await enroll(session, flow="onboarding", contact_id=ada.id, settings={}, reenroll_after=timedelta(0))
    assert refusal.value.erasure_id == erasure.id
    with pytest.raises(BeingErased):
        async with database.write() as session:
            await upsert_contact(session, ContactProfile(email=ada.email, first_name="Ada"), {}, "test")
    async with database.read() as session:
        assert (await session.get_one(ContactRow, ada.id)).first_name == ""


async def test_an_enrollment_that_meets_an_erasure_waits_for_it_and_is_refused(
    database: Database, ada: ContactRow
) -> None:
    async def enrolled() -> None:
        async with database.write() as session:
            await enroll(session, flow="onboarding", contact_id=ada.id, settings={}, reenroll_after=timedelta(0))

    async with database.write() as session:
        assert await request_erasure(session, ada.id, "api") is not None
        enrolling = asyncio.create_task(enrolled())
        # Long enough for it to come to where it waits; were it slower, it would find the erasure without waiting.
        await asyncio.sleep(0.1)
    with pytest.raises(BeingErased):
        await enrolling
    async with database.read() as session:
        assert list(await session.exec(select(EnrollmentRow))) == []


async def test_what_is_noted_is_added_to_the_certificate(database: Database, ada: ContactRow) -> None:
    erasure = await asked_for(database, ada)
    rows, histories = RowsDeleted(by_table={"contacts": 1}, at=now()), HistoriesDeleted(runs=2, at=now())
    async with database.write() as session:
        await note(session, erasure.id, Certificate(rows=rows))
        await note(session, erasure.id, Certificate(providers=[]))
    async with database.write() as session:
        await note(session, erasure.id, Certificate(histories=histories))
        done = certificate(await session.get_one(ErasureRow, erasure.id))
    assert done == Certificate(rows=rows, histories=histories, providers=[])


async def test_a_finished_erasure_does_not_say_whose_it_is_and_finishes_once(
    database: Database, ada: ContactRow
) -> None:
    erasure = await asked_for(database, ada)
    finished = []
    for _ in range(2):
        async with database.write() as session:
            await finish(session, erasure.id)
        async with database.read() as session:
            row = await session.get_one(ErasureRow, erasure.id)
        finished.append(row.finished_at)
        assert row.contact_id is None
        assert ada.id not in repr(row)
    assert finished[0] == finished[1] is not None


async def test_unfinished_ones_are_begun_and_begun_again_when_that_was_long_ago(
    database: Database, ada: ContactRow
) -> None:
    erasure = await asked_for(database, ada)

    async def due(asked_before: timedelta, begun_before: timedelta) -> list[str]:
        async with database.read() as session:
            rows = await not_begun(session, now() + asked_before, now() + begun_before, limit=10)
        return [row.id for row in rows]

    assert await due(-HOUR, -HOUR) == []
    assert await due(HOUR, -HOUR) == [erasure.id]
    async with database.write() as session:
        await mark_begun(session, erasure.id)
    assert await due(HOUR, -HOUR) == []
    assert await due(HOUR, HOUR) == [erasure.id]
    async with database.write() as session:
        await finish(session, erasure.id)
    assert await due(HOUR, HOUR) == []


async def test_erasures_are_listed_newest_first_a_page_at_a_time(database: Database, ada: ContactRow) -> None:
    older = await asked_for(database, ada)
    async with database.write() as session:
        await finish(session, older.id)
        bo = (await upsert_contact(session, ContactProfile(email="bo@example.com"), {}, "test")).contact
    newer = await asked_for(database, bo)

    async with database.read() as session:
        pages = [
            await page_of_erasures(session, limit=1),
            await page_of_erasures(session, limit=1, before=newer.id),
            await page_of_erasures(session, limit=2, status="under_way"),
            await page_of_erasures(session, limit=2, status="finished"),
        ]
    assert [[row.id for row in page] for page in pages] == [[newer.id], [older.id], [newer.id], [older.id]]
