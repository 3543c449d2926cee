"""Those who are started in the same moment are noted in one transaction, and each hears of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.contacts import ContactProfile
from domain.flows import Exit, Outcome
from runtime import marking
from runtime.marking import StartMarks
from runtime.runs import TemporalUnavailable
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, record_outcome
from store.tables import EnrollmentRow
from tests.address_keys import ADDRESS_KEYS
from tests.waiting import until


class Counting(Database):
    """Counts transactions; while it is `away` none begins."""

    transactions = 0
    away = False

    def write(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self._counted()

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[AsyncSession]:
        self.transactions += 1
        if self.away:
            raise OperationalError("UPDATE", {}, Exception("the server is away"))
        async with super().write() as session:
            yield session


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Counting]:
    opened = Counting(sqlite_url, ADDRESS_KEYS)
    yield opened
    await opened.close()


async def enrolled(database: Counting, many: int) -> list[str]:
    async with database.write() as session:
        rows = []
        for number in range(many):
            contact = (await upsert_contact(session, ContactProfile(email=f"c{number}@example.com"), {}, "t")).contact
            rows.append(
                await enroll(
                    session, flow="onboarding", contact_id=contact.id, settings={}, reenroll_after=timedelta(0)
                )
            )
    database.transactions = 0
    return [row.id for row in rows]


async def started(database: Database, ids: list[str]) -> list[bool]:
    async with database.read() as session:
        return [(await session.get_one(EnrollmentRow, each)).started_at is not None for each in ids]


async def test_those_of_a_moment_share_a_transaction(database: Counting) -> None:
    ids = await enrolled(database, 20)
    marks = StartMarks(database)
    assert all(await asyncio.gather(*(marks.mark(each) for each in ids)))
    assert all(await started(database, ids))
    assert database.transactions == 1


async def test_who_comes_while_one_is_written_is_in_the_next(database: Counting) -> None:
    ids = await enrolled(database, 20)
    marks = StartMarks(database)
    async with database.write() as session:  # SQLite has one who writes at a time
        await session.exec(select(1))
        first = asyncio.create_task(marks.mark(ids[0]))
        await until(lambda: database.transactions == 2)
        others = [asyncio.create_task(marks.mark(each)) for each in ids[1:]]
        await asyncio.sleep(0)
        assert not first.done()
    assert all(await asyncio.gather(first, *others))
    assert database.transactions == 3


async def test_each_hears_whether_they_are_still_active(database: Counting) -> None:
    ids = await enrolled(database, 3)
    async with database.write() as session:
        await record_outcome(session, ids[1], Outcome(exit=Exit.CANCELLED, step=None))
    marks = StartMarks(database)
    assert await asyncio.gather(*(marks.mark(each) for each in ids)) == [True, False, True]


async def test_a_transaction_that_fails_fails_for_all_of_it_and_for_nobody_later(database: Counting) -> None:
    ids = await enrolled(database, 3)
    marks = StartMarks(database)
    database.away = True
    answers = await asyncio.gather(*(marks.mark(each) for each in ids), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OperationalError] * 3
    database.away = False
    assert await marks.mark(ids[0])
    assert await started(database, ids) == [True, False, False]


async def test_who_does_not_wait_any_longer_is_marked_all_the_same(database: Counting) -> None:
    ids = await enrolled(database, 2)
    marks = StartMarks(database)
    impatient = asyncio.create_task(marks.mark(ids[0]))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await marks.mark(ids[1])
    assert await started(database, ids) == [True, True]


async def test_a_row_that_somebody_has_locked_keeps_nobody_else_waiting_for_ever(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marking, "PATIENCE_SECONDS", 0.5)
    database = Counting(postgres_url, ADDRESS_KEYS)
    locked, other = await enrolled(database, 2)
    marks = StartMarks(database)
    async with database.write() as session:
        await session.get_one(EnrollmentRow, locked, with_for_update=True)
        stuck = asyncio.create_task(marks.mark(locked))
        await until(lambda: database.transactions == 2)
        assert await marks.mark(other)
        with pytest.raises(TemporalUnavailable):
            await stuck
    assert await marks.mark(locked)
    await database.close()


async def test_who_ends_while_the_mark_waits_for_them_is_not_active(postgres_url: str) -> None:
    database = Counting(postgres_url, ADDRESS_KEYS)
    ending, active = await enrolled(database, 2)
    marks = StartMarks(database)
    async with database.write() as session:
        await record_outcome(session, ending, Outcome(exit=Exit.CANCELLED, step=None))
        await session.flush()
        marked = asyncio.gather(marks.mark(ending), marks.mark(active))
        await until(lambda: waits_for_a_lock(database))
    assert list(await marked) == [False, True]
    await database.close()


async def waits_for_a_lock(database: Counting) -> bool:
    async with database.read() as session:
        connection = await session.connection()
        return bool((await connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar_one())
