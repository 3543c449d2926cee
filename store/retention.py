"""What is kept of the ledger and of events, and for how long: what is older goes, unless it is still of use.

Of PostgreSQL's months each goes as a whole, when all of it may go. What lies beside the months, and all that SQLite
has, goes row by row, and so does whom a bulk enrollment or a broadcast was for. Contacts, consents, suppressions and
enrollments stay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, or_, union_all
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.messages import MessageStatus
from store.database import Database
from store.ledger import OPEN
from store.list_tables import AudienceMemberRow, BroadcastRow, BulkEnrollmentRow
from store.partitions import (
    DELIVERY_EVENTS,
    EVENTS,
    MESSAGES,
    PARTITIONED,
    Partitioned,
    are_partitioned,
    as_table,
    drop_month,
    first_moment,
    later,
    months,
    partition_name,
    take_turn,
)
from store.tables import EnrollmentRow, month_of

BATCH = 1000
"""Rows that are deleted in one transaction."""
AUDIENCES = "audience_members"
"""Kept as long as messages, once what they were for is over."""
_UNSETTLED = (*OPEN, MessageStatus.UNCONFIRMED)
_CLOCK_SKEW = timedelta(hours=1)
"""Between the moment in an enrollment's id and the one that it says it was made at."""


class Kept(NamedTuple):
    """Since when events and messages are kept, and with messages what providers told of them; None: for ever."""

    events_since: datetime | None
    messages_since: datetime | None

    def since(self, table: Partitioned) -> datetime | None:
        return self.events_since if table is EVENTS else self.messages_since


class OldMonth(NamedTuple):
    """A month that is older than what is kept, and what keeps it all the same; None: nothing does."""

    table: Partitioned
    month: date
    kept_by: str | None

    @property
    def name(self) -> str:
        return partition_name(self.table, self.month)


async def old_months(session: AsyncSession, kept: Kept) -> list[OldMonth]:
    """Months of which nothing is to be kept any more, oldest first; on SQLite there are none."""
    return [
        OldMonth(table, month, await _kept_by(session, table, month, since))
        for table, month, since in await _older(session, kept)
    ]


async def drop_old_months(database: Database, kept: Kept) -> list[str]:
    """Drop the months that nothing keeps; answer the names of their partitions.

    Idempotency: any number of these at once drop each month once. Raises: Busy; what was dropped by then is gone.
    """
    dropped: list[str] = []
    while True:
        # Each in a transaction of its own, so that whoever uses the table waits for one drop at the most.
        async with database.write() as session:
            if not await _older(session, kept):
                return dropped
            await take_turn(session)
            droppable = (each for each in await old_months(session, kept) if each.kept_by is None)
            if (old := next(droppable, None)) is None:
                return dropped
            await drop_month(session, old.table, old.month)
        dropped.append(old.name)


async def delete_old_rows(database: Database, kept: Kept) -> AsyncIterator[tuple[str, int]]:
    """Delete what is old and in no month, some rows at a time; tell after each of these the table and how many.

    Idempotency: any number of these at once delete each row once. It may be given up after any of them.
    """
    for table in PARTITIONED:
        since = kept.since(table)
        while since is not None:
            # Found without SQLite's lock on writing: to look through a whole table takes a while.
            async with database.read() as session:
                rows = _beside_months(session, table)
                ids = list(await session.exec(select(rows.c.id).where(_is_old(table, rows, since)).limit(BATCH)))
            if ids:
                deleting = delete(rows).where(rows.c.id.in_(ids), _is_old(table, rows, since))
                async with database.write() as session:
                    deleted = (await session.exec(deleting)).rowcount
                yield table.name, deleted
            if len(ids) < BATCH:
                break
    while kept.messages_since is not None and (deleted := await _delete_old_members(database, kept.messages_since)):
        yield AUDIENCES, deleted


async def count_old_rows(session: AsyncSession, kept: Kept) -> dict[str, int]:
    """How many rows `delete_old_rows` would delete, by table."""
    counts = {}
    for table in PARTITIONED:
        if (since := kept.since(table)) is not None:
            rows = _beside_months(session, table)
            counting = select(func.count()).select_from(rows).where(_is_old(table, rows, since))
            counts[table.name] = (await session.exec(counting)).one()
    if kept.messages_since is not None:
        counting = select(func.count()).where(_is_of_what_is_over(kept.messages_since))
        counts[AUDIENCES] = (await session.exec(counting)).one()
    return counts


async def _delete_old_members(database: Database, since: datetime) -> int:
    """Delete some of whom one that ended before a moment was for; answer how many."""
    audience_id, position = col(AudienceMemberRow.audience_id), col(AudienceMemberRow.position)
    async with database.read() as session:
        of = (await session.exec(select(audience_id).where(_is_of_what_is_over(since)).limit(1))).one_or_none()
        these = select(position).where(audience_id == of).order_by(position).limit(BATCH)
        positions = list(await session.exec(these)) if of else []
    if not positions:
        return 0
    deleting = delete(AudienceMemberRow).where(audience_id == of, position <= positions[-1])
    async with database.write() as session:
        return (await session.exec(deleting)).rowcount


def _is_of_what_is_over(since: datetime) -> ColumnElement[bool]:
    over = union_all(
        *(select(table.id).where(col(table.ended_at) < since) for table in (BulkEnrollmentRow, BroadcastRow))
    )
    return col(AudienceMemberRow.audience_id).in_(over)


def _beside_months(session: AsyncSession, table: Partitioned) -> Table:
    """What lies in no month: on SQLite, all."""
    return as_table(table, table.rest if are_partitioned(session) else table.name)


async def _older(session: AsyncSession, kept: Kept) -> list[tuple[Partitioned, date, datetime]]:
    """Months that lie before what is kept, with that moment."""
    if not are_partitioned(session):
        return []
    return [
        (table, month, since)
        for table in PARTITIONED
        if (since := kept.since(table)) is not None
        for month in await months(session, table)
        if later(month, 1) <= month_of(since)
    ]


def _is_old(table: Partitioned, rows: Table, since: datetime) -> ColumnElement[bool]:
    if table is DELIVERY_EVENTS:
        return rows.c.occurred_at < since
    if table is EVENTS:
        return and_(rows.c.occurred_at < since, rows.c.delivered_at.is_not(None))
    return and_(rows.c.created_at < since, rows.c.status.not_in(_UNSETTLED), ~_is_used(rows))


def _is_used(messages: Table) -> ColumnElement[bool]:
    """What sends the message may ask the ledger for it once more."""
    return or_(
        exists().where(col(EnrollmentRow.id) == messages.c.enrollment_id, col(EnrollmentRow.status) == "active"),
        exists().where(col(BroadcastRow.id) == messages.c.broadcast_id, col(BroadcastRow.ended_at).is_(None)),
    )


async def _kept_by(session: AsyncSession, table: Partitioned, month: date, since: datetime) -> str | None:
    rows = as_table(table, partition_name(table, month))
    if table is EVENTS and await _any(session, rows.c.delivered_at.is_(None)):
        return "events that Temporal was not told of"
    if table is not MESSAGES:
        return None
    if await _any(session, rows.c.status.in_(_UNSETTLED)):
        return "messages that are not settled"
    begins, ends = first_moment(month), first_moment(later(month, 1))
    if await _any(session, *_active(begins, ends)):
        return "active enrollments of that month"
    made = col(BroadcastRow.created_at)
    if await _any(session, col(BroadcastRow.ended_at).is_(None), made >= begins, made < ends):
        return "broadcasts of that month that go on"
    # Ids sort by the time they were made, and the primary key has them in order: one row is looked at.
    newest = await session.exec(select(rows.c.created_at).order_by(rows.c.id.desc()).limit(1))
    last = newest.one_or_none()
    return None if last is None or last < since else "messages that are younger"


def _active(begins: datetime, ends: datetime) -> tuple[ColumnElement[bool], ...]:
    """Enrollments made between two moments: by their ids too, which the index on the status has in order."""
    return (
        col(EnrollmentRow.status) == "active",
        col(EnrollmentRow.id) >= _first_id(begins - _CLOCK_SKEW),
        col(EnrollmentRow.id) < _first_id(ends + _CLOCK_SKEW),
        col(EnrollmentRow.created_at) >= begins,
        col(EnrollmentRow.created_at) < ends,
    )


def _first_id(at: datetime) -> str:
    """The least that `new_id` may make from a moment on."""
    return str(UUID(int=int(at.timestamp() * 1000) << 80))


async def _any(session: AsyncSession, *conditions: ColumnElement[bool]) -> bool:
    return bool((await session.exec(select(exists().where(*conditions)))).one())
