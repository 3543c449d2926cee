"""What is kept no longer goes, and nothing that is still of use goes with it: on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import SQLModel, select

from domain.consent import ConsentState
from domain.deliveries import DeliveryKind
from domain.flows import Exit, Outcome
from domain.messages import MessageStatus
from domain.suppressions import SuppressionReason
from store import retention
from store.database import Database
from store.enrollments import enroll, record_outcome
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.list_tables import AudienceMemberRow, BroadcastRow, BulkEnrollmentRow
from store.partitions import DELIVERY_EVENTS, EVENTS, MESSAGES, Busy, first_moment, later, months, partition_name
from store.retention import Kept, count_old_rows, delete_old_rows, drop_old_months, old_months
from store.suppressions import suppress, suppressions_of
from store.tables import ConsentRow, ContactRow, EnrollmentRow, EventRow, month_of, new_id, now
from tests.store.test_audiences import contacts

LONG_AGO = datetime(2019, 5, 1, tzinfo=UTC)
THIS_MONTH = month_of(now())
NEXT_YEAR = first_moment(later(THIS_MONTH, 12))
"""At the end of what is kept, when so much time has passed that this month is old."""


def everything_since(moment: datetime) -> Kept:
    return Kept(events_since=moment, messages_since=moment)


async def forget(database: Database, kept: Kept) -> Counter[str]:
    """What a worker does; answers how many rows of each table were deleted one by one."""
    await drop_old_months(database, kept)
    deleted = Counter[str]()
    async for table, rows in delete_old_rows(database, kept):
        deleted[table] += rows
    return deleted


async def add(database: Database, *rows: SQLModel) -> None:
    async with database.write() as session:
        session.add_all(rows)


async def left(database: Database, table: Any) -> set[str]:
    async with database.read() as session:
        return set(await session.exec(select(table.id)))


async def enrollment(database: Database, contact: ContactRow, flow: str = "nurturing", *, ended: bool) -> EnrollmentRow:
    async with database.write() as session:
        row = await enroll(session, flow=flow, contact_id=contact.id, settings={}, reenroll_after=timedelta(0))
        if ended:
            await record_outcome(session, row.id, Outcome(exit=Exit.COMPLETED, step=None))
        return row


def message(row_id: str, contact: ContactRow, **more: Any) -> MessageRow:
    of: dict[str, Any] = {
        "flow": "nurturing",
        "contact_id": contact.id,
        "step": new_id(),
        "status": MessageStatus.SENT,
        **more,
    }
    return MessageRow(id=row_id, **of)


def happened(row_id: str, contact: ContactRow, at: datetime, *, told: bool = True) -> EventRow:
    delivered_at = now() if told else None
    return EventRow(id=row_id, contact_id=contact.id, name="bought", occurred_at=at, delivered_at=delivered_at)


def delivery(row_id: str, at: datetime) -> DeliveryEventRow:
    return DeliveryEventRow(id=row_id, provider="sendgrid", kind=DeliveryKind.DELIVERED, occurred_at=at)


async def test_old_events_go_and_those_that_temporal_was_not_told_of_stay(database: Database, ada: ContactRow) -> None:
    since = LONG_AGO + timedelta(days=30)
    await add(
        database,
        happened("old", ada, LONG_AGO),
        happened("old, not told", ada, LONG_AGO, told=False),
        happened("at the limit", ada, since),
        happened("young", ada, now()),
        delivery("old delivery", LONG_AGO),
    )
    assert await forget(database, Kept(events_since=since, messages_since=None)) == {"events": 1}
    assert await left(database, EventRow) == {"old, not told", "at the limit", "young"}
    assert await left(database, DeliveryEventRow) == {"old delivery"}


async def test_whom_something_was_for_goes_once_it_has_been_over_for_long(
    database: Database, ada: ContactRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    since = LONG_AGO + timedelta(days=30)
    audiences: dict[str, list[str]] = {"old": [], "young": [], "goes on": []}
    people = [ada.id, *(await contacts(database, 4))]
    for name, at in (("old", LONG_AGO), ("young", now()), ("goes on", None)):
        job = BulkEnrollmentRow(flow="onboarding", source={}, status="finished", per_second=1, ended_at=at)
        broadcast = BroadcastRow(name=name, message="news", source={}, definition={}, status="sent", ended_at=at)
        audiences[name] = [job.id, broadcast.id]
        members = [
            AudienceMemberRow(audience_id=audience_id, position=position, contact_id=contact_id)
            for audience_id in audiences[name]
            for position, contact_id in enumerate(people)
        ]
        await add(database, job, broadcast, *members)
    kept = Kept(events_since=None, messages_since=since)
    async with database.read() as session:
        assert (await count_old_rows(session, kept))["audience_members"] == 10
    assert await forget(database, Kept(events_since=since, messages_since=None)) == {}
    assert await forget(database, kept) == {"audience_members": 10}
    async with database.read() as session:
        left = Counter(await session.exec(select(AudienceMemberRow.audience_id)))
    assert left == dict.fromkeys((*audiences["young"], *audiences["goes on"]), 5)


async def test_what_is_kept_for_ever_stays(database: Database, ada: ContactRow) -> None:
    ended = await enrollment(database, ada, ended=True)
    await add(
        database,
        happened("old", ada, LONG_AGO),
        delivery("old", LONG_AGO),
        message("old", ada, enrollment_id=ended.id, created_at=LONG_AGO, month=month_of(LONG_AGO)),
    )
    assert await forget(database, Kept(None, None)) == {}
    for table in (EventRow, DeliveryEventRow, MessageRow):
        assert await left(database, table) == {"old"}


async def test_an_old_message_goes_when_it_is_settled_and_what_sent_it_is_over(
    database: Database, ada: ContactRow
) -> None:
    ended = await enrollment(database, ada, "nurturing", ended=True)
    active = await enrollment(database, ada, "onboarding", ended=False)
    over, goes_on = (
        BroadcastRow(name=name, message="news", source={}, definition={}, status="sent", ended_at=at)
        for name, at in (("over", now()), ("goes on", None))
    )
    await add(database, over, goes_on)
    old: dict[str, Any] = {"created_at": LONG_AGO, "month": month_of(LONG_AGO)}
    rows = {
        "ended": message("ended", ada, enrollment_id=ended.id, **old),
        "skipped": message("skipped", ada, enrollment_id=ended.id, status=MessageStatus.SKIPPED, **old),
        "of a broadcast": message("of a broadcast", ada, broadcast_id=over.id, **old),
        "active": message("active", ada, enrollment_id=active.id, **old),
        "of a broadcast that goes on": message("of a broadcast that goes on", ada, broadcast_id=goes_on.id, **old),
        "young": message("young", ada, enrollment_id=ended.id, created_at=now(), month=month_of(LONG_AGO)),
        **{
            status: message(status, ada, enrollment_id=ended.id, status=status, **old)
            for status in ("ready", "deferred", "sending", "unconfirmed")
        },
    }
    await add(database, *rows.values(), delivery("old", LONG_AGO), delivery("young", now()))
    deleted = await forget(database, everything_since(LONG_AGO + timedelta(days=40)))
    assert deleted == {"messages": 3, "delivery_events": 1}
    assert await left(database, MessageRow) == rows.keys() - {"ended", "skipped", "of a broadcast"}
    assert await left(database, DeliveryEventRow) == {"young"}


async def test_contacts_consents_suppressions_and_enrollments_stay(database: Database, ada: ContactRow) -> None:
    ended = await enrollment(database, ada, ended=True)
    consent = ConsentRow(
        contact_id=ada.id,
        topic="offers",
        state=ConsentState.GRANTED,
        source="api",
        recorded_by="api",
        recorded_at=LONG_AGO,
    )
    await add(database, consent, message("m", ada, enrollment_id=ended.id))
    async with database.write() as session:
        await suppress(session, ada.email, SuppressionReason.COMPLAINT, "test")
    await forget(database, everything_since(NEXT_YEAR))
    assert await left(database, MessageRow) == set()
    assert await left(database, ContactRow) == {ada.id}
    assert await left(database, EnrollmentRow) == {ended.id}
    assert await left(database, ConsentRow) == {consent.id}
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == {"complaint"}


async def test_many_rows_go_some_at_a_time_by_several_workers_at_once(
    database: Database, ada: ContactRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 40)
    await add(database, *(happened(f"{number}", ada, LONG_AGO) for number in range(200)))
    kept = everything_since(LONG_AGO + timedelta(days=1))
    pieces = [rows async for _, rows in delete_old_rows(database, kept)]
    assert max(pieces) <= 40
    assert sum(pieces) == 200
    await add(database, *(happened(f"{number}", ada, LONG_AGO) for number in range(200)))
    by_worker = await asyncio.gather(*(forget(database, kept) for _ in range(3)))
    assert sum(deleted["events"] for deleted in by_worker) == 200
    assert await left(database, EventRow) == set()


# -- Months of PostgreSQL ---------------------------------------------------------------------------------------------

on_postgresql = pytest.mark.parametrize("database_url", ["postgres_url"], indirect=True)


async def months_left(database: Database) -> dict[str, bool]:
    """Of each table, whether this month is still there."""
    async with database.read() as session:
        return {table.name: THIS_MONTH in await months(session, table) for table in (MESSAGES, EVENTS, DELIVERY_EVENTS)}


async def why_kept(database: Database, kept: Kept) -> dict[str, str | None]:
    async with database.read() as session:
        old = await old_months(session, kept)
    return {each.table.name: each.kept_by for each in old if each.month == THIS_MONTH}


@on_postgresql
async def test_a_month_of_which_all_may_go_is_dropped(database: Database, ada: ContactRow) -> None:
    ended = await enrollment(database, ada, ended=True)
    await add(
        database,
        message("m", ada, enrollment_id=ended.id),
        happened("e", ada, now()),
        delivery("d", now()),
    )
    halfway = NEXT_YEAR.replace(month=THIS_MONTH.month, year=THIS_MONTH.year, day=28)
    await drop_old_months(database, everything_since(halfway))
    assert set((await months_left(database)).values()) == {True}
    dropped = await drop_old_months(database, everything_since(NEXT_YEAR))
    assert {partition_name(table, THIS_MONTH) for table in (MESSAGES, EVENTS, DELIVERY_EVENTS)} <= set(dropped)
    assert set((await months_left(database)).values()) == {False}
    for table in (MessageRow, EventRow, DeliveryEventRow):
        assert await left(database, table) == set()
    await add(database, happened("late", ada, now()))
    assert await left(database, EventRow) == {"late"}


@on_postgresql
async def test_a_month_with_a_message_that_is_not_settled_stays(database: Database, ada: ContactRow) -> None:
    ended, kept = await enrollment(database, ada, ended=True), everything_since(NEXT_YEAR)
    await add(database, message("m", ada, enrollment_id=ended.id))
    for status in MessageStatus:
        async with database.write() as session:
            (await session.get_one(MessageRow, "m")).status = status
        settled = status not in ("ready", "deferred", "sending", "unconfirmed")
        assert (await why_kept(database, kept))["messages"] == (None if settled else "messages that are not settled")
    async with database.write() as session:
        (await session.get_one(MessageRow, "m")).status = MessageStatus.UNCONFIRMED
    await drop_old_months(database, kept)
    assert await months_left(database) == {"messages": True, "events": False, "delivery_events": False}


@on_postgresql
async def test_a_month_stays_while_a_contact_who_came_in_then_is_in_a_flow(database: Database, ada: ContactRow) -> None:
    active = await enrollment(database, ada, ended=False)
    await add(database, message("m", ada, enrollment_id=active.id))
    kept = everything_since(NEXT_YEAR)
    assert (await why_kept(database, kept))["messages"] == "active enrollments of that month"
    async with database.write() as session:
        await record_outcome(session, active.id, Outcome(exit=Exit.GOAL, step=None))
    assert (await why_kept(database, kept))["messages"] is None


@on_postgresql
async def test_a_month_stays_while_a_broadcast_of_it_goes_on_or_a_message_of_it_is_younger(
    database: Database, ada: ContactRow
) -> None:
    broadcast = BroadcastRow(name="news", message="news", source={}, definition={}, status="sending")
    await add(database, broadcast)
    kept = everything_since(NEXT_YEAR)
    assert (await why_kept(database, kept))["messages"] == "broadcasts of that month that go on"
    async with database.write() as session:
        (await session.get_one(BroadcastRow, broadcast.id)).ended_at = now()
    assert (await why_kept(database, kept))["messages"] is None
    ended = await enrollment(database, ada, ended=True)
    ids = [new_id() for _ in range(2)]
    for row_id, at in zip(ids, (now(), NEXT_YEAR), strict=True):
        await add(database, message(row_id, ada, enrollment_id=ended.id, created_at=at))
    assert (await why_kept(database, kept))["messages"] == "messages that are younger"


@on_postgresql
async def test_a_month_with_an_event_that_temporal_was_not_told_of_stays(database: Database, ada: ContactRow) -> None:
    await add(database, happened("e", ada, now(), told=False))
    assert (await why_kept(database, everything_since(NEXT_YEAR)))["events"] == "events that Temporal was not told of"
    await forget(database, everything_since(NEXT_YEAR))
    assert await left(database, EventRow) == {"e"}


@on_postgresql
async def test_several_workers_at_once_drop_each_month_once(database: Database) -> None:
    kept = everything_since(NEXT_YEAR)
    async with database.read() as session:
        old = {each.name for each in await old_months(session, kept)}

    async def drop() -> list[str]:
        dropped: list[str] = []
        while True:
            try:
                return dropped + await drop_old_months(database, kept)
            except Busy:
                await asyncio.sleep(0.01)

    by_worker = await asyncio.gather(*(drop() for _ in range(4)))
    names = [name for dropped in by_worker for name in dropped]
    assert len(names) == len(set(names))
    assert set(names) <= old
    async with database.read() as session:
        assert await old_months(session, kept) == []


@on_postgresql
async def test_who_reads_is_not_made_to_wait_for_a_month_to_be_dropped(database: Database, ada: ContactRow) -> None:
    await add(database, happened("e", ada, now()))
    async with database.read() as reading:
        assert len(list(await reading.exec(select(EventRow)))) == 1
        with pytest.raises(Busy):
            await asyncio.wait_for(drop_old_months(database, Kept(NEXT_YEAR, None)), timeout=10)
        assert len(list(await reading.exec(select(EventRow)))) == 1
    await drop_old_months(database, Kept(NEXT_YEAR, None))
    assert not (await months_left(database))["events"]
