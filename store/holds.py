"""Holds of one enrollment, one contact or a whole flow; and what each enrollment's run was told of them.

An enrollment is held while any of the three is. A hold counts as soon as it is stored; its run is told afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, exists, func, literal_column, or_, union, update
from sqlmodel import and_, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.insertion import insert_unless_there
from store.people_tables import ApprovalRow, AssignmentRow, TaskRow
from store.tables import EnrollmentRow, HoldRow, now


class Scope(StrEnum):
    """What a hold is of. Its target is an id, or the flow's name."""

    ENROLLMENT = "enrollment"
    CONTACT = "contact"
    FLOW = "flow"


_OPEN = col(HoldRow.resumed_at).is_(None)
# Literally, and not as a parameter, so that the partial indexes of active enrollments are taken.
_ACTIVE = col(EnrollmentRow.status) == literal_column("'active'")
_TARGETS = (
    (Scope.ENROLLMENT, col(EnrollmentRow.id)),
    (Scope.CONTACT, col(EnrollmentRow.contact_id)),
    (Scope.FLOW, col(EnrollmentRow.flow)),
)
_CONCERNS = or_(*(and_(col(HoldRow.scope) == scope, col(HoldRow.target) == target) for scope, target in _TARGETS))


Change: TypeAlias = Callable[[AsyncSession, Scope, str], Awaitable[bool]]
"""`hold` or `resume`."""


class Standing(NamedTuple):
    """`change` counts the holds and resumes that concern an enrollment: it only grows, and is 0 if there were none."""

    held: bool
    change: int


class Telling(NamedTuple):
    """What a run is to be told. `asked_at` is when it was told first, and stays until it has answered."""

    enrollment_id: str
    held: bool
    change: int
    asked_at: datetime

    @property
    def key(self) -> str:
        """The same each time the run is told this, and never the same for anything else that it is told."""
        return f"{'hold' if self.held else 'resume'}-{self.change}-{self.asked_at:%Y%m%dT%H%M%S%f}"


async def hold(session: AsyncSession, scope: Scope, target: str) -> bool:
    """Answer whether this was not held before: then it is since now. The hold that was first stays."""
    return await insert_unless_there(session, HoldRow(scope=scope, target=target))


async def resume(session: AsyncSession, scope: Scope, target: str) -> bool:
    """Answer whether this was held. An enrollment goes on once nothing holds it any more."""
    lifted = await session.exec(
        update(HoldRow)
        .where(col(HoldRow.scope) == scope, col(HoldRow.target) == target, col(HoldRow.resumed_at).is_(None))
        .values(resumed_at=now())
    )
    return lifted.rowcount > 0


async def open_holds(session: AsyncSession, scope: Scope, targets: Sequence[str]) -> frozenset[str]:
    """Which of these are held by a hold of their own."""
    query = select(HoldRow.target).where(HoldRow.scope == scope, col(HoldRow.target).in_(targets), _OPEN)
    return frozenset(await session.exec(query))


async def standing(session: AsyncSession, enrollment: EnrollmentRow) -> Standing:
    query = select(func.count(), func.count(col(HoldRow.resumed_at))).where(_concerns(enrollment))
    made, lifted = (await session.exec(query)).one()
    return Standing(held=made > lifted, change=made + lifted)


async def is_held(session: AsyncSession, enrollment: EnrollmentRow) -> bool:
    """Whether the enrollment, its contact or its flow is held."""
    return (await standing(session, enrollment)).held


async def began_held(session: AsyncSession, enrollment: EnrollmentRow) -> bool:
    """Whether the enrollment was held when it was made, whatever has happened since."""
    made = enrollment.created_at
    query = select(HoldRow.id).where(
        _concerns(enrollment), HoldRow.held_at <= made, or_(_OPEN, col(HoldRow.resumed_at) > made)
    )
    return (await session.exec(query.limit(1))).first() is not None


async def held_among(session: AsyncSession, enrollments: Sequence[EnrollmentRow]) -> frozenset[str]:
    """Ids of those of these enrollments that are active and held."""
    active = [row for row in enrollments if row.status == "active"]
    if not active:
        return frozenset()
    own = await open_holds(session, Scope.ENROLLMENT, [row.id for row in active])
    contacts = await open_holds(session, Scope.CONTACT, [row.contact_id for row in active])
    flows = await open_holds(session, Scope.FLOW, sorted({row.flow for row in active}))
    return frozenset(row.id for row in active if row.id in own or row.contact_id in contacts or row.flow in flows)


async def held_wrongly_told(session: AsyncSession, flow: str, before: datetime, limit: int) -> list[EnrollmentRow]:
    """Active, started enrollments of a flow whose runs do not know how they stand, or have not answered.

    In no order, so that some that never answer keep no others from their turn. What changed after `before` is left out:
    somebody is telling it.
    """
    running = (_ACTIVE, EnrollmentRow.flow == flow, col(EnrollmentRow.started_at).is_not(None))
    # A select for each scope: each begins with the holds, of which there are few.
    unaware_of_a_hold = [
        select(EnrollmentRow.id)
        .join(HoldRow, and_(col(HoldRow.scope) == scope, col(HoldRow.target) == target))
        .where(_OPEN, HoldRow.held_at < before, *running, col(EnrollmentRow.held_since).is_(None))
        for scope, target in _TARGETS
    ]
    held_now = select(HoldRow.id).where(_CONCERNS, or_(_OPEN, col(HoldRow.resumed_at) >= before))
    unaware_of_a_resume = select(EnrollmentRow.id).where(
        *running, col(EnrollmentRow.held_since).is_not(None), ~exists(held_now.correlate(EnrollmentRow))
    )
    in_doubt = select(EnrollmentRow.id).where(*running, col(EnrollmentRow.hold_asked_at) < before)
    ids = union(*unaware_of_a_hold, unaware_of_a_resume, in_doubt).subquery()
    query = select(EnrollmentRow).where(col(EnrollmentRow.id).in_(select(ids.c.id)))
    return list(await session.exec(query.order_by(func.random()).limit(limit)))


async def begin_telling(session: AsyncSession, enrollment_id: str) -> Telling | None:
    """Note that the enrollment's run is about to be told how it stands; None if it knows, or if there is no run."""
    row = await session.get(EnrollmentRow, enrollment_id, with_for_update=True)
    if row is None or row.status == "ended" or row.started_at is None:
        return None
    stands = await standing(session, row)
    if row.hold_asked_at is None and stands.held == (row.held_since is not None):
        return None
    row.hold_asked_at = row.hold_asked_at or now()
    session.add(row)
    return Telling(row.id, stands.held, stands.change, row.hold_asked_at)


async def mark_told(session: AsyncSession, telling: Telling) -> None:
    """Note what the run has answered to.

    After a resume, whatever people are asked for this enrollment gets as much more time as it was held.
    """
    row = await session.get_one(EnrollmentRow, telling.enrollment_id, with_for_update=True)
    if telling.held:
        row.held_since = row.held_since or now()
    elif row.held_since is not None:
        await _postpone(session, row.id, now() - row.held_since)
        row.held_since = None
    # Something that changed meanwhile may have been told before this was: then the run is told again.
    unchanged = (await standing(session, row)).change == telling.change
    row.hold_asked_at = None if unchanged else now()
    session.add(row)


async def mark_begun_held(session: AsyncSession, enrollment_id: str) -> None:
    """Note that the enrollment's run was started held."""
    await session.exec(
        update(EnrollmentRow)
        .where(col(EnrollmentRow.id) == enrollment_id, col(EnrollmentRow.held_since).is_(None))
        .values(held_since=now())
    )


async def doubt(session: AsyncSession, enrollment: EnrollmentRow) -> None:
    """Have the enrollment's run told again how it stands, if anything ever held it: what it knows nobody can say."""
    if (await standing(session, enrollment)).change:
        await session.exec(
            update(EnrollmentRow).where(col(EnrollmentRow.id) == enrollment.id).values(hold_asked_at=now())
        )


async def _postpone(session: AsyncSession, enrollment_id: str, held: timedelta) -> None:
    approvals = await session.exec(
        select(ApprovalRow).where(ApprovalRow.enrollment_id == enrollment_id, ApprovalRow.status == "pending")
    )
    for approval in approvals:
        approval.expires_at = approval.expires_at and approval.expires_at + held
        session.add(approval)
    tasks = await session.exec(select(TaskRow).where(TaskRow.enrollment_id == enrollment_id, TaskRow.status == "open"))
    for task in tasks:
        task.due_at = task.due_at and task.due_at + held
        session.add(task)
    offers = await session.exec(
        select(AssignmentRow).where(AssignmentRow.enrollment_id == enrollment_id, AssignmentRow.status == "offered")
    )
    for offer in offers:
        offer.respond_by = offer.respond_by and offer.respond_by + held
        session.add(offer)


def _concerns(enrollment: EnrollmentRow) -> ColumnElement[bool]:
    targets = (
        (Scope.ENROLLMENT, enrollment.id),
        (Scope.CONTACT, enrollment.contact_id),
        (Scope.FLOW, enrollment.flow),
    )
    return or_(*(and_(HoldRow.scope == scope, HoldRow.target == target) for scope, target in targets))
