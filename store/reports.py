"""What reports count. It is all read from indexes, and no rows: see `docs/decisions/0020-reports.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Subquery,
    and_,
    case,
    cast,
    extract,
    func,
    select,
    text,
    union,
    union_all,
)
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.flows import Exit
from domain.message_counts import MessageTally, ReasonTally
from domain.messages import MessageStatus
from domain.reports import EnrollmentTally, Times
from store.holds import Scope
from store.ledger_tables import MessageRow
from store.tables import EnrollmentRow, HoldRow

_SAMPLE = 15
"""Messages of a step that tell when contacts come to it."""


@dataclass(frozen=True)
class Cohort:
    """Who entered a flow: from a day on, in UTC, before another, on a build of its code; None: whenever, on any."""

    flow: str
    since: date | None = None
    before: date | None = None
    build: str | None = None

    @property
    def is_everybody(self) -> bool:
        return self.since is None and self.before is None and self.build is None

    def enrollments(self) -> ColumnElement[bool]:
        row = EnrollmentRow
        since, before = (None if day is None else _midnight(day) for day in (self.since, self.before))
        return and_(
            col(row.flow) == self.flow, *_between(col(row.created_at), since, before), *self._on(col(row.build))
        )

    def messages(self) -> ColumnElement[bool]:
        """To the contacts, not to the team about them."""
        row = MessageRow
        first = None if self.since is None else self.since.replace(day=1)
        return and_(
            col(row.flow) == self.flow,
            col(row.entered_on).is_not(None),
            *_between(col(row.entered_on), self.since, self.before),
            # So that PostgreSQL leaves the partitions of other months alone.
            *_between(col(row.month), first, self.before),
            *self._on(col(row.build)),
        )

    def _on(self, build: Any) -> list[ColumnElement[bool]]:
        return [] if self.build is None else [build == self.build]


async def see_one_state(session: AsyncSession) -> None:
    """Let all that the session reads be of one moment, so that it adds up. Before anything is read."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite does so by itself
        await (await session.connection()).execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


async def enrollment_tallies(session: AsyncSession, cohort: Cohort, open_since: datetime) -> list[EnrollmentTally]:
    """Active enrollments that were made after `open_since` are open."""
    row = EnrollmentRow
    keys = (col(row.exit), col(row.last_step), col(row.build))
    is_open = case((and_(col(row.exit).is_(None), col(row.created_at) > open_since), 1), else_=0)
    query = select(*keys, func.count(), func.sum(is_open)).where(cohort.enrollments()).group_by(*keys)
    return [
        EnrollmentTally(Exit(exit_) if exit_ else None, step, build, count, still_open)
        for exit_, step, build, count, still_open in await rows_of(session, query)
    ]


async def count_held(session: AsyncSession, cohort: Cohort) -> int:
    """How many active enrollments are held: by themselves, by their contact, or by their flow."""
    row, hold = EnrollmentRow, HoldRow
    # Literally, so that the index of active enrollments is taken.
    active = and_(cohort.enrollments(), col(row.status) == text("'active'"))
    flow_is_held = select(col(hold.id)).where(_open(Scope.FLOW), col(hold.target) == cohort.flow)
    if await rows_of(session, flow_is_held):
        query = select(func.count()).select_from(row).where(active)
    else:
        # Begun with the holds, of which there are few: a database may think otherwise of a join.
        held = [
            select(select(col(row.id)).where(active, target == col(hold.target)).scalar_subquery().label("id"))
            .select_from(hold)
            .where(_open(scope))
            for scope, target in ((Scope.ENROLLMENT, col(row.id)), (Scope.CONTACT, col(row.contact_id)))
        ]
        query = select(func.count(union(*held).subquery().c.id))
    ((count,),) = await rows_of(session, query)
    return int(count)


async def message_tallies(session: AsyncSession, cohort: Cohort) -> list[MessageTally]:
    """By step and template."""
    row = MessageRow
    keys = (col(row.step), col(row.message))
    return await _tallied(session, keys, cohort.messages())


async def broadcast_tallies(session: AsyncSession, broadcast_id: str) -> list[MessageTally]:
    """By variant; of no step."""
    row = MessageRow
    return [
        tally._replace(step=None)
        for tally in await _tallied(
            session, (col(row.broadcast_id), col(row.variant)), col(row.broadcast_id) == broadcast_id
        )
    ]


async def reason_tallies(session: AsyncSession, cohort: Cohort) -> list[ReasonTally]:
    """Why messages were not sent, or not yet. Of those that bounced each server has words of its own."""
    row = MessageRow
    keys = (col(row.step), col(row.status), col(row.reason))
    # Literally, as the index has it.
    why_not = text("status IN ('deferred', 'dropped', 'rejected', 'skipped', 'unconfirmed')")
    query = select(*keys, func.count()).where(cohort.messages(), why_not, col(row.reason).is_not(None)).group_by(*keys)
    return [
        ReasonTally(step, MessageStatus(status), reason, count)
        for step, status, reason, count in await rows_of(session, query)
    ]


async def in_order(session: AsyncSession, cohort: Cohort, steps: Sequence[str]) -> list[str]:
    """These steps as contacts come to them: by how long after they entered, in the median of a few of each."""
    if not steps:
        return []
    samples = [
        select(col(MessageRow.step), col(MessageRow.enrollment_id), col(MessageRow.created_at))
        .where(cohort.messages(), col(MessageRow.step) == step)
        .order_by(col(MessageRow.message), col(MessageRow.status))  # as the index has them: no row is looked for
        .limit(_SAMPLE)
        .subquery()
        for step in steps
    ]
    sampled = union_all(*(select(sample) for sample in samples)).subquery()
    enrollment = EnrollmentRow
    after = seconds_between(session, col(enrollment.created_at), sampled.c.created_at)
    query = select(sampled.c.step, after).join(enrollment, col(enrollment.id) == sampled.c.enrollment_id)
    came: dict[str, list[int]] = {step: [] for step in steps}
    for step, seconds in await rows_of(session, query):
        came[step].append(seconds)
    medians = {step: sorted(known)[len(known) // 2] if known else 0 for step, known in came.items()}
    return sorted(steps, key=lambda step: (medians[step], step))


async def goal_times(session: AsyncSession, cohort: Cohort, within: timedelta) -> tuple[Times, int]:
    """How long after they entered contacts reached the goal, and how many of them took longer than `within`."""
    row = EnrollmentRow
    seconds = seconds_between(session, col(row.created_at), col(row.ended_at)).label("seconds")
    reached = select(seconds).where(cohort.enrollments(), col(row.exit) == Exit.GOAL).subquery()
    ranked = with_ranks(reached)
    late = func.sum(case((ranked.c.seconds > within.total_seconds(), 1), else_=0))
    ((count, median, p90, late_ones),) = await rows_of(session, select(func.count(), *quantiles(ranked), late))
    return times(count, median, p90), int(late_ones or 0)


def with_ranks(took: Subquery, *keys: str) -> Subquery:
    """A query of `seconds` with the `rank` of each among the `total` of those that are alike in these columns."""
    alike = [took.c[key] for key in keys]
    rank = func.row_number().over(partition_by=alike or None, order_by=took.c.seconds)
    total = func.count().over(partition_by=alike or None)
    return select(took, rank.label("rank"), total.label("total")).subquery()


def quantiles(ranked: Subquery) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The median, and what nine in ten took at the most: the least time whose rank is high enough."""
    least = (
        func.min(case((ranked.c.rank * of >= ranked.c.total * part, ranked.c.seconds)))
        for part, of in ((1, 2), (9, 10))
    )
    median, p90 = least
    return median, p90


def times(count: int, median: int | None, p90: int | None) -> Times:
    if median is None or p90 is None:
        return Times()
    return Times(count=count, median=timedelta(seconds=median), p90=timedelta(seconds=p90))


def seconds_between(session: AsyncSession, begin: Any, end: Any) -> ColumnElement[int]:
    """Whole ones."""
    if session.get_bind().dialect.name == "postgresql":
        return cast(func.round(extract("epoch", end - begin)), Integer)
    return cast(func.round((func.julianday(end) - func.julianday(begin)) * 86400), Integer)


async def rows_of(session: AsyncSession, query: Executable) -> Sequence[Any]:
    return (await (await session.connection()).execute(query)).all()


async def _tallied(session: AsyncSession, keys: tuple[Any, Any], which: ColumnElement[bool]) -> list[MessageTally]:
    row = MessageRow
    # In the order of the index.
    came = (
        col(row.status),
        col(row.opened),
        col(row.clicked),
        col(row.machine_opened),
        col(row.machine_clicked),
    )
    query = select(*keys, *came, func.count()).where(which).group_by(*keys, *came)
    return [
        MessageTally(step, name, MessageStatus(status), *acts_and_count)
        for step, name, status, *acts_and_count in await rows_of(session, query)
    ]


def _between(column: Any, since: date | datetime | None, before: date | datetime | None) -> list[ColumnElement[bool]]:
    bounds = [] if since is None else [column >= since]
    return bounds if before is None else [*bounds, column < before]


def _open(scope: Scope) -> ColumnElement[bool]:
    return and_(col(HoldRow.scope) == scope, col(HoldRow.resumed_at).is_(None))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
