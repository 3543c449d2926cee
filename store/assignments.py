"""Assignments: to which rep each lead is offered, whether out of the queue or not.

Each decision on a lead is one row, numbered within its step. An offer takes of its rep's capacity until the lead goes
elsewhere or its enrollment ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import aliased
from sqlmodel import and_, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.people import MANAGERS, calendar_of
from store.enrollments import Leaving, open_enrollment
from store.lead_choosing import OPEN, Chooser, decision, lead_of, take_turn
from store.lead_queue import serve_queue
from store.lead_rules import newest_rules
from store.people import people_by_ids, people_in_role
from store.people_tables import AssignmentRow
from store.tables import ContactRow, EnrollmentRow, now

DRAINED_AT_ONCE = 100
"""Leads of the queue that one transaction gives away: other choosers wait for it."""
_NEVER = timedelta(days=3650)
"""From now: a deadline for reps whose working time does not come to an SLA within that time."""


class NotInQueue(Exception):
    """The lead does not wait in the queue any more: it was given to somebody, or its enrollment ended."""


class NotAManager(Exception):
    """Who gives the lead is not, or not any more, in the role MANAGERS."""


class UnknownPerson(Exception):
    """There is no such person, or they are not active."""


async def current_offer(
    session: AsyncSession,
    enrollment_id: str,
    step: str,
    *,
    at: datetime,
    before: int | None = None,
    declined: bool = False,
) -> AssignmentRow:
    """What is decided on the lead of a step: offered, accepted (given by hand) or queued.

    `before` is the number of the offer that is over: declined or, without an answer, lapsed. Nobody gets the lead who
    had it; older leads of the queue are given first. To be called first in a transaction.
    Idempotency: a decision that stands is answered as it is.
    Raises: Leaving.
    """
    await take_turn(session)
    enrollment = await open_enrollment(session, enrollment_id)
    decisions = await _decisions(session, enrollment_id, step)
    for row in decisions:
        if row.number == before and row.status == "offered":
            row.status = "declined" if declined else "lapsed"
            row.closed_at = row.released_at = now()
    newest = decisions[-1] if decisions else None
    if newest is not None and newest.status in (*OPEN, "queued"):
        if newest.person_id is not None:
            newest.told_at = newest.told_at or now()
        return newest

    lead = lead_of(await session.get_one(ContactRow, enrollment.contact_id))
    had_it = frozenset(row.person_id for row in decisions if row.person_id is not None)
    chooser = await Chooser.at(session, at)
    choice = await chooser.choose(lead, had_it)
    number = len(decisions) + 1
    if choice.person_id is not None and (older := await serve_queue(session, chooser, DRAINED_AT_ONCE)):
        if len(older) == DRAINED_AT_ONCE:
            detail = f"somebody can take it by {choice.rule}: leads that wait longer come first"
            reasons = [{"verdict": "in_turn", "detail": detail}]
            row = decision(enrollment, step, number, None, reasons, chooser.rules_version)
            session.add(row)
            return row
        choice = await chooser.choose(lead, had_it)
    row = chooser.decide(enrollment, step, number, choice)
    row.told_at = None if row.person_id is None else now()
    return row


async def begin_response_time(
    session: AsyncSession, offer: AssignmentRow, respond_within: timedelta, at: datetime
) -> None:
    """From now the rep has `respond_within` of their working time to respond."""
    (rep,) = await people_by_ids(session, [offer.person_id or ""])
    offer.told_at = at
    offer.respond_by = calendar_of(rep).after_working(at, respond_within) or at + _NEVER


async def accept(session: AsyncSession, enrollment_id: str, step: str) -> tuple[AssignmentRow, int]:
    """Note that the newest offer was accepted; answer it, and how many there were. Twice changes nothing."""
    offers = [row for row in await _decisions(session, enrollment_id, step) if row.person_id is not None]
    offer = offers[-1]
    if offer.status == "offered":
        offer.status, offer.closed_at = "accepted", now()
    return offer, len(offers)


async def drain(session: AsyncSession, at: datetime, limit: int = DRAINED_AT_ONCE) -> list[AssignmentRow]:
    """Offer leads of the queue, oldest first, to whoever can take them; answer the offers, no more than `limit`.

    A lead that nobody can take holds up no younger one. Those whose enrollment is held or leaving are passed by. The
    runs have to be told, see `not_told`. To be called first in a transaction.
    """
    await take_turn(session)
    return await serve_queue(session, await Chooser.at(session, at), limit)


async def give_by_hand(session: AsyncSession, assignment_id: str, person_id: str, by_person_id: str) -> AssignmentRow:
    """Have a manager give a lead of the queue to somebody, whatever rules and calendars say; it counts as accepted.

    The run has to be told, see `not_told`. To be called first in a transaction.
    Idempotency: the same again answers what it made.
    Raises: NotAManager; NotInQueue, also if there is no such lead; UnknownPerson.
    """
    await take_turn(session)
    if all(manager.id != by_person_id for manager in await people_in_role(session, MANAGERS)):
        raise NotAManager
    queued = await session.get(AssignmentRow, assignment_id)
    try:
        enrollment = None if queued is None else await open_enrollment(session, queued.enrollment_id)
    except Leaving:
        raise NotInQueue from None
    if queued is None or enrollment is None:
        raise NotInQueue
    detail = f"given by hand by {by_person_id}"
    reasons = [{"verdict": "by_hand", "detail": detail, "person": person_id, "by": by_person_id}]
    decisions = await _decisions(session, queued.enrollment_id, queued.step)
    if queued.status == "drained" and decisions[queued.number].reasons == reasons:
        return decisions[queued.number]
    if queued.status != "queued":
        raise NotInQueue
    if not any(person.active for person in await people_by_ids(session, [person_id])):
        raise UnknownPerson
    queued.status, queued.closed_at = "drained", now()
    version = (await newest_rules(session)).version
    row = decision(enrollment, queued.step, queued.number + 1, person_id, reasons, version)
    row.status, row.closed_at = "accepted", now()
    session.add(row)
    return row


def given_by(decision: AssignmentRow) -> str | None:
    """The id of the manager who gave a lead by hand; None if it was offered, or is in the queue."""
    return next((reason["by"] for reason in decision.reasons if reason.get("verdict") == "by_hand"), None)


async def offered_to(session: AsyncSession, person_id: str) -> list[AssignmentRow]:
    """The offers that a rep has not answered yet, oldest first."""
    query = select(AssignmentRow).where(AssignmentRow.person_id == person_id, AssignmentRow.status == "offered")
    return list(await session.exec(query.order_by(col(AssignmentRow.id))))


async def not_told(session: AsyncSession, flows: Sequence[str], limit: int, offset: int = 0) -> list[AssignmentRow]:
    """What came out of the queue, in these flows, and its run was not told of, oldest first."""
    query = (
        select(AssignmentRow)
        .join(EnrollmentRow, col(EnrollmentRow.id) == AssignmentRow.enrollment_id)
        .where(col(AssignmentRow.told_at).is_(None), col(AssignmentRow.person_id).is_not(None))
        .where(
            col(AssignmentRow.status).in_(OPEN), EnrollmentRow.status == "active", col(EnrollmentRow.flow).in_(flows)
        )
    )
    return list(await session.exec(query.order_by(col(AssignmentRow.id)).limit(limit).offset(offset)))


async def mark_told(session: AsyncSession, assignment_id: str) -> None:
    """Note that its run knows of what came out of the queue. A run that has found it itself knew before."""
    await session.exec(
        update(AssignmentRow)
        .where(col(AssignmentRow.id) == assignment_id, col(AssignmentRow.told_at).is_(None))
        .values(told_at=now())
    )


async def told_since(session: AsyncSession, enrollment_id: str, since: datetime) -> list[AssignmentRow]:
    """What came out of the queue and was told to the enrollment's run, at or after a moment."""
    left = aliased(AssignmentRow)
    query = (
        select(AssignmentRow)
        .join(left, and_(left.enrollment_id == AssignmentRow.enrollment_id, left.step == AssignmentRow.step))
        .where(AssignmentRow.enrollment_id == enrollment_id, col(AssignmentRow.told_at) >= since)
        .where(left.number == AssignmentRow.number - 1, left.status == "drained")
    )
    return list(await session.exec(query.order_by(col(AssignmentRow.id))))


async def _decisions(session: AsyncSession, enrollment_id: str, step: str) -> list[AssignmentRow]:
    """All decisions on the lead of a step, in order."""
    query = select(AssignmentRow).where(AssignmentRow.enrollment_id == enrollment_id, AssignmentRow.step == step)
    return list(await session.exec(query.order_by(col(AssignmentRow.number))))
