"""The months of the ledger and of events: on PostgreSQL each is a partition of its own; SQLite has plain tables.

What no month takes, since it is long ago or its month was not made in time, goes to a partition beside them. So no row
is ever refused for want of a month. Decision 18 says why.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from sqlalchemy import Table, func, text
from sqlalchemy.exc import OperationalError
from sqlmodel import MetaData, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.database import Database
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.tables import EventRow, month_of, now

logger = logging.getLogger(__name__)

AHEAD = 2
"""Months that are there before anything happens in them."""
BACK = 36
"""Months back that get a partition if much came of them: imported history, as a rule."""
MUCH = 10_000
"""Rows beside the months that are worth a month of their own."""
_PATIENCE = timedelta(milliseconds=500)
"""To wait for a lock: below PostgreSQL's `deadlock_timeout`, so that we give up before anybody else is made to."""
_TURN = "cauce-partitions"
_NAME = re.compile(r"(?P<table>\w+)_(?P<year>\d{4})_(?P<month>\d{2})")


class Busy(Exception):
    """A table is in use, or another worker is at it: to be tried again."""


class Partitioned(NamedTuple):
    """A table in months, and the column that tells which month a row belongs to."""

    rows: type[SQLModel]
    by: str

    @property
    def name(self) -> str:
        return str(self.rows.__tablename__)

    @property
    def rest(self) -> str:
        """The partition of what no month takes."""
        return f"{self.name}_default"

    def bounds(self, month: date) -> tuple[date | datetime, date | datetime]:
        """The first value of the month, and of the next."""
        return self._first(month), self._first(later(month, 1))

    def _first(self, month: date) -> date | datetime:
        return month if self.by == "month" else first_moment(month)


MESSAGES = Partitioned(MessageRow, "month")
EVENTS = Partitioned(EventRow, "occurred_at")
DELIVERY_EVENTS = Partitioned(DeliveryEventRow, "occurred_at")
PARTITIONED = (MESSAGES, EVENTS, DELIVERY_EVENTS)


def partition_name(table: Partitioned, month: date) -> str:
    return f"{table.name}_{month:%Y_%m}"


def month_of_partition(table: Partitioned, name: str) -> date | None:
    """The inverse of `partition_name`; None if it is the name of no month of this table."""
    read = _NAME.fullmatch(name)
    return date(int(read["year"]), int(read["month"]), 1) if read and read["table"] == table.name else None


def first_moment(month: date) -> datetime:
    return datetime.combine(month, time(), UTC)


def is_no_partition(name: str | None, kind: str, _parents: object = None) -> bool:
    """For Alembic's `include_name`: the code describes tables, and not what PostgreSQL keeps them in."""
    parts = (name == table.rest or month_of_partition(table, name or "") for table in PARTITIONED)
    return kind != "table" or not any(parts)


def later(month: date, by: int) -> date:
    """The first day of the month that is `by` months after another, or before."""
    years, months = divmod(month.month - 1 + by, 12)
    return date(month.year + years, months + 1, 1)


def are_partitioned(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def as_table(table: Partitioned, name: str) -> Table:
    """One partition, as a table that can be asked by itself."""
    whole: Table = SQLModel.metadata.tables[table.name]
    return whole.to_metadata(MetaData(), name=name)


async def months(session: AsyncSession, table: Partitioned) -> list[date]:
    """The months that have a partition, oldest first."""
    found = await (await session.connection()).execute(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(:table)"),
        {"table": table.name},
    )
    return sorted(month for name in found.scalars() if (month := month_of_partition(table, name)))


async def keep_months(database: Database) -> list[str]:
    """Make the months that are missing; answer the names of the partitions made.

    Missing: those from the newest that is there to those to come, and a past one of which much lies beside the months.
    Idempotency: any number of these at once make each month once. Raises: Busy; what was made by then stays.
    """
    made = []
    async with database.read() as session:
        if not are_partitioned(session):
            return []
        missing = [(table, month) for table in PARTITIONED for month in await _missing(session, table)]
    for table, month in missing:
        async with database.write() as session:
            if await _make(session, table, month):
                made.append(partition_name(table, month))
    return made


async def drop_month(session: AsyncSession, table: Partitioned, month: date) -> None:
    """Drop a month with all that is in it. The caller has the turn. Raises: Busy."""
    await _execute(session, f"DROP TABLE {partition_name(table, month)}")


async def take_turn(session: AsyncSession) -> None:
    """Be the only one who changes partitions until the transaction ends, and wait for no lock for long. Raises: Busy"""
    await session.exec(select(func.set_config("lock_timeout", f"{_PATIENCE // timedelta(milliseconds=1)}ms", True)))
    mine = await session.exec(select(func.pg_try_advisory_xact_lock(func.hashtextextended(_TURN, 0))))
    if not mine.one():
        raise Busy("another worker is at it")


async def _missing(session: AsyncSession, table: Partitioned) -> Sequence[date]:
    there = await months(session, table)
    present = month_of(now())
    # Not before the newest: months that are gone there were dropped, when they were old enough.
    first = min(later(there[-1], 1), present) if there else present
    wanted = {*await _crowded(session, table), *_from_to(first, later(present, AHEAD))}
    return sorted(wanted.difference(there))


async def _crowded(session: AsyncSession, table: Partitioned) -> Sequence[date]:
    """Months of the past that have no partition, though much of them came."""
    by = as_table(table, table.rest).c[table.by]
    month = by if table.by == "month" else func.date_trunc("month", func.timezone("UTC", by))
    present = month_of(now())
    past = by >= table.bounds(later(present, -BACK))[0], by < table.bounds(present)[0]
    found = await session.exec(select(month).where(*past).group_by(month).having(func.count() >= MUCH))
    return [each.date() if isinstance(each, datetime) else each for each in found]


async def _make(session: AsyncSession, table: Partitioned, month: date) -> bool:
    """Make a month, and move there what of it lies beside the months; answer whether it was missing. Raises: Busy."""
    await take_turn(session)
    if month in await months(session, table):
        return False
    name, (begins, ends) = partition_name(table, month), table.bounds(month)
    within = f"{table.by} >= '{begins.isoformat()}' AND {table.by} < '{ends.isoformat()}'"
    # Attached when it is complete, its indexes too: nobody may read what lies beside the months while that is done.
    await _execute(session, f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING INDEXES)")
    await _execute(session, f"LOCK TABLE {table.rest} IN SHARE ROW EXCLUSIVE MODE")
    await _execute(
        session,
        f"WITH moved AS (DELETE FROM {table.rest} WHERE {within} RETURNING *) INSERT INTO {name} SELECT * FROM moved",  # noqa: S608
    )
    await _execute(
        session,
        f"ALTER TABLE {table.name} ATTACH PARTITION {name}"
        f" FOR VALUES FROM ('{begins.isoformat()}') TO ('{ends.isoformat()}')",
    )
    return True


async def _execute(session: AsyncSession, statement: str) -> None:
    try:
        await (await session.connection()).execute(text(statement))
    except OperationalError as error:
        # 55P03 lock_not_available, 40P01 deadlock_detected
        if getattr(error.orig, "sqlstate", None) in ("55P03", "40P01"):
            raise Busy(f"waited for a lock: {statement.partition('(')[0]}") from None
        raise


def _from_to(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first = later(first, 1)
