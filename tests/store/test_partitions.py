"""Months of the ledger and of events: on PostgreSQL, but where it says both."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.deliveries import Sign
from domain.flows import Exit, Outcome
from domain.messages import MessageStatus
from integrations.sendgrid.events import read_events
from store.database import Database
from store.deliveries import in_chunks, keep_deliveries
from store.enrollments import enroll, record_outcome
from store.events import mark_delivered, record_event, record_told_event
from store.ledger import message_of_step
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.partitions import (
    AHEAD,
    BACK,
    MESSAGES,
    MUCH,
    PARTITIONED,
    Busy,
    Partitioned,
    first_moment,
    is_no_partition,
    keep_months,
    later,
    month_of_partition,
    months,
    partition_name,
)
from store.retention import Kept, drop_old_months
from store.tables import ContactRow, EnrollmentRow, EventRow, month_of, now, on_clock
from tests.integrations.sendgrid_webhook import webhook_event

THIS_MONTH = month_of(now())
on_both = pytest.mark.parametrize("database_url", ["sqlite_url", "postgres_url"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """Of PostgreSQL, but for tests that run on both."""
    return str(request.getfixturevalue(getattr(request, "param", "postgres_url")))


def in_month(month: date, day: int = 15) -> datetime:
    return datetime(month.year, month.month, day, 12, tzinfo=UTC)


def happened(contact: ContactRow, event_id: str, at: datetime) -> EventRow:
    return EventRow(id=event_id, contact_id=contact.id, name="visited", occurred_at=at)


async def lies_in(database: Database, table: str, row_id: str) -> list[str]:
    """The partitions that have rows of this id."""
    async with database.read() as session:
        found = await (await session.connection()).execute(
            text(f"SELECT tableoid::regclass::text FROM {table} WHERE id = :id"),  # noqa: S608
            {"id": row_id},
        )
        return sorted(found.scalars())


async def lies_beside(session: AsyncSession, table: str) -> int:
    """How many rows are in no month."""
    found = await (await session.connection()).execute(text(f"SELECT count(*) FROM {table}_default"))  # noqa: S608
    return int(found.scalar_one())


async def there(database: Database, table: Partitioned) -> list[date]:
    async with database.read() as session:
        return await months(session, table)


async def test_a_migrated_database_has_the_months_around_this_one(database: Database) -> None:
    for table in PARTITIONED:
        assert await there(database, table) == [later(THIS_MONTH, by) for by in range(-1, AHEAD + 1)]
        assert await primary_key(database, table.name) == ["id", table.by]
    assert await keep_months(database) == []


async def primary_key(database: Database, table: str) -> list[str]:
    """Its columns, as the database has it: the code has `id` alone."""
    query = text(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)"
        " WHERE indrelid = to_regclass(:table) AND indisprimary ORDER BY array_position(indkey, attnum)"
    )
    async with database.read() as session:
        return list((await (await session.connection()).execute(query, {"table": table})).scalars())


async def test_a_row_lies_in_its_month_and_what_no_month_takes_beside_them(database: Database, ada: ContactRow) -> None:
    last_moment = first_moment(later(THIS_MONTH, 1)) - timedelta(microseconds=1)
    moments = {
        "now": now(),
        "last": last_moment,
        "next": last_moment + timedelta(microseconds=1),
        "long ago": datetime(2014, 5, 1, tzinfo=UTC),
        "far ahead": datetime(2099, 1, 1, tzinfo=UTC),
    }
    async with database.write() as session:
        session.add_all(happened(ada, name, at) for name, at in moments.items())
    this, following = (f"events_{month:%Y_%m}" for month in (THIS_MONTH, later(THIS_MONTH, 1)))
    assert {name: await lies_in(database, "events", name) for name in moments} == {
        "now": [this],
        "last": [this],
        "next": [following],
        "long ago": ["events_default"],
        "far ahead": ["events_default"],
    }


async def test_months_that_no_worker_made_in_time_are_made_later_and_get_their_rows(
    database: Database, ada: ContactRow
) -> None:
    """For half a year only the API runs, and takes events."""
    missed = [later(THIS_MONTH, by) for by in range(AHEAD + 1, AHEAD + 5)]
    async with database.write() as session:
        session.add_all(happened(ada, f"{month}", first_moment(month)) for month in missed)
        session.add(happened(ada, "far ahead", datetime(2099, 1, 1, tzinfo=UTC)))
        await session.flush()
        assert await lies_beside(session, "events") == len(missed) + 1
    with on_clock(lambda: in_month(missed[-1])):
        made = await keep_months(database)
        assert await keep_months(database) == []
    wanted = [later(THIS_MONTH, by) for by in range(AHEAD + 1, AHEAD + 5 + AHEAD)]
    assert sorted(made) == sorted(partition_name(table, month) for table in PARTITIONED for month in wanted)
    for month in missed:
        assert await lies_in(database, "events", f"{month}") == [f"events_{month:%Y_%m}"]
    assert await lies_in(database, "events", "far ahead") == ["events_default"]
    nobody = ContactRow(email="nobody@example.com", locale="en")
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            session.add(happened(nobody, "of nobody", in_month(missed[0])))


async def test_much_of_a_month_long_ago_gets_a_month_of_its_own_and_a_little_does_not(
    database: Database, ada: ContactRow
) -> None:
    much, little, too_old = (later(THIS_MONTH, -by) for by in (7, 9, BACK + 1))
    async with database.write() as session:
        for month, rows in ((much, MUCH), (little, 5), (too_old, MUCH)):
            await (await session.connection()).execute(
                text(
                    "INSERT INTO events (id, contact_id, name, occurred_at, properties, received_at)"
                    " SELECT :month || n, :contact, 'bought', :at, '{}', now() FROM generate_series(1, :rows) AS n"
                ),
                {"month": f"{month}/", "contact": ada.id, "at": in_month(month), "rows": rows},
            )
    assert await keep_months(database) == [f"events_{much:%Y_%m}"]
    assert await lies_in(database, "events", f"{much}/{MUCH}") == [f"events_{much:%Y_%m}"]
    assert await lies_in(database, "events", f"{little}/1") == await lies_in(database, "events", f"{too_old}/1")


async def test_several_workers_at_once_make_each_month_once(database: Database) -> None:
    async def make() -> list[str]:
        made: list[str] = []
        while True:
            try:
                return made + await keep_months(database)
            except Busy:
                await asyncio.sleep(0.01)

    with on_clock(lambda: in_month(later(THIS_MONTH, 2))):
        by_worker = await asyncio.gather(*(make() for _ in range(5)))
        assert await keep_months(database) == []
    for table in PARTITIONED:
        assert await there(database, table) == [later(THIS_MONTH, by) for by in range(-1, AHEAD + 3)]
    assert sum(map(len, by_worker)) <= 2 * len(PARTITIONED)


async def test_who_writes_is_not_made_to_wait_and_the_month_is_made_when_they_are_done(
    database: Database, ada: ContactRow
) -> None:
    with on_clock(lambda: in_month(later(THIS_MONTH, 1))):
        async with database.write() as session:
            session.add(happened(ada, "old", datetime(2014, 5, 1, tzinfo=UTC)))
            await session.flush()
            with pytest.raises(Busy):
                await asyncio.wait_for(keep_months(database), timeout=10)
            session.add(happened(ada, "older", datetime(2013, 5, 1, tzinfo=UTC)))
        assert await lies_in(database, "events", "older") == ["events_default"]
        assert len(await keep_months(database)) == len(PARTITIONED) - 1


@on_both
async def test_an_event_id_is_known_whenever_the_event_happened(database: Database, ada: ContactRow) -> None:
    async def record(at: datetime) -> bool:
        async with database.write() as session:
            return await record_event(session, ada, happened(ada, "crm-1", at))

    moments = [now(), in_month(later(THIS_MONTH, -1)), datetime(2014, 5, 1, tzinfo=UTC), *[now()] * 3]
    assert sorted(await asyncio.gather(*map(record, moments))) == [False] * 5 + [True]
    assert not await record(in_month(THIS_MONTH, 3))
    async with database.read() as session:
        assert len(list(await session.exec(select(EventRow)))) == 1


@on_both
async def test_junk_that_a_provider_repeats_months_later_is_kept_once(database: Database) -> None:
    for at in (now(), in_month(later(THIS_MONTH, 1)), in_month(later(THIS_MONTH, 8))):
        (chunk,) = in_chunks(read_events(json.dumps(["junk", {"event": "open", "timestamp": "noon"}]).encode(), at))
        async with database.write() as session:
            await keep_deliveries(session, chunk, {}, count_automated=False)
    async with database.read() as session:
        assert len(list(await session.exec(select(DeliveryEventRow)))) == 2


@on_both
async def test_a_click_that_proves_to_be_a_scanners_is_taken_back_across_the_turn_of_a_month(
    database: Database, ada: ContactRow
) -> None:
    turn = first_moment(THIS_MONTH)
    row = await message(database, ada, step="offer")
    for second in (-2, -1, 1):
        click = webhook_event("click", row.id, turn + timedelta(seconds=second), url=f"https://example.com/{second}")
        (chunk,) = in_chunks(read_events(json.dumps([click]).encode(), now()))
        async with database.write() as session:
            await keep_deliveries(session, chunk, {}, count_automated=False)
            acted = len(list(await session.exec(select(EventRow))))
        assert acted == {-2: 1, -1: 2, 1: 0}[second]
    async with database.read() as session:
        assert {each.automated for each in await session.exec(select(DeliveryEventRow))} == {Sign.MANY_LINKS}


async def test_what_providers_told_before_retention_is_not_missed_by_what_they_tell_after(
    database: Database, ada: ContactRow
) -> None:
    """Of three clicks that a scanner did at once, the first two were dropped with their month."""
    turn = first_moment(THIS_MONTH)
    row = await message(database, ada, step="offer")
    told = [
        webhook_event("click", row.id, turn + timedelta(seconds=second), url=f"https://example.com/{second}")
        for second in (-2, -1, 1, 900)
    ]
    for each in (told[:3], told[3:]):
        (chunk,) = in_chunks(read_events(json.dumps(each).encode(), now()))
        async with database.write() as session:
            await keep_deliveries(session, chunk, {}, count_automated=False)
        await drop_old_months(database, Kept(None, turn))
    async with database.read() as session:
        assert (await session.get_one(MessageRow, row.id)).status == "clicked"
        assert len(list(await session.exec(select(DeliveryEventRow)))) == 2


async def test_an_id_that_a_sender_has_in_common_with_a_provider_is_read_all_the_same(
    database: Database, ada: ContactRow
) -> None:
    async with database.write() as session:
        await record_event(session, ada, happened(ada, "sendgrid:1", now()))
        await record_told_event(session, ada, happened(ada, "sendgrid:1", in_month(later(THIS_MONTH, -1))))
    async with database.read() as session:
        assert (await session.get_one(EventRow, "sendgrid:1")).contact_id == ada.id


async def message(database: Database, contact: ContactRow, **more: Any) -> MessageRow:
    async with database.write() as session:
        enrollment = await enroll(
            session, flow="nurturing", contact_id=contact.id, settings={}, reenroll_after=timedelta(0)
        )
        row = MessageRow(
            flow="nurturing",
            enrollment_id=enrollment.id,
            contact_id=contact.id,
            status=MessageStatus.SENT,
            **more,
        )
        session.add(row)
    return row


async def test_what_is_asked_for_each_message_looks_into_one_month(database: Database, ada: ContactRow) -> None:
    row = await message(database, ada, step="welcome")
    async with database.read() as session:
        enrollment = await session.get_one(EnrollmentRow, row.enrollment_id)

    async def reserve(session: AsyncSession) -> None:
        assert await message_of_step(session, enrollment, "welcome", "hello") is not None

    async def end(session: AsyncSession) -> None:
        assert await record_outcome(session, enrollment.id, Outcome(exit=Exit.COMPLETED, step=None))

    for work in (reserve, end):
        assert await partitions_of(database, "messages", work) == {partition_name(MESSAGES, THIS_MONTH)}


async def partitions_of(database: Database, table: str, work: Callable[[AsyncSession], Awaitable[None]]) -> set[str]:
    """Those that the work's statements on this table look into."""
    statements: list[tuple[str, Any]] = []

    def keep(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if f" {table} " in statement:
            statements.append((statement, parameters))

    async with database.write() as session:
        connection = await session.connection()
        event.listen(connection.sync_connection, "before_cursor_execute", keep)
        await work(session)
        event.remove(connection.sync_connection, "before_cursor_execute", keep)
        plans = [str((await connection.exec_driver_sql(f"EXPLAIN {each}", of)).all()) for each, of in statements]
    return {name for plan in plans for name in re.findall(rf"\b{table}_(?:\d+_\d+|default)\b", plan)}


async def test_an_event_is_marked_as_told_wherever_it_lies(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        for event_id, at in (("a", now()), ("b", datetime(2014, 5, 1, tzinfo=UTC))):
            await record_event(session, ada, happened(ada, event_id, at))
            await mark_delivered(session, event_id)
    async with database.read() as session:
        assert all(row.delivered_at for row in await session.exec(select(EventRow)))


MONTHS = st.dates(date(1971, 1, 1), date(2900, 1, 1)).map(lambda day: day.replace(day=1))


@given(st.sampled_from(PARTITIONED), MONTHS)
def test_a_partitions_name_tells_its_table_and_month(table: Partitioned, month: date) -> None:
    name = partition_name(table, month)
    assert [month_of_partition(each, name) for each in PARTITIONED if each is table] == [month]
    assert {month_of_partition(each, name) for each in PARTITIONED if each is not table} == {None}
    assert not is_no_partition(name, "table")
    assert is_no_partition(table.name, "table")


@given(MONTHS, st.integers(-500, 500), st.integers(-500, 500))
def test_months_add_up(month: date, one: int, other: int) -> None:
    assert later(later(month, one), other) == later(month, one + other)
    assert later(month, 1) == (month + timedelta(days=31)).replace(day=1)
