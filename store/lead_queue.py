"""The queue of leads that nobody could take: first in, first out."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.lead_rules import Lead
from store import holds
from store.enrollments import withdrawal
from store.lead_choosing import Chooser, lead_of
from store.people_tables import AssignmentRow
from store.tables import ContactRow, EnrollmentRow, now

_PAGE = 200


async def page_of_queue(session: AsyncSession, *, limit: int, after: str | None = None) -> list[AssignmentRow]:
    """The leads that wait behind the one with the id `after`, oldest first."""
    query = select(AssignmentRow).where(AssignmentRow.status == "queued")
    if after is not None:
        query = query.where(AssignmentRow.id > after)
    return list(await session.exec(query.order_by(col(AssignmentRow.id)).limit(limit)))


async def is_queue_empty(session: AsyncSession) -> bool:
    return not await page_of_queue(session, limit=1)


class _Waiting(NamedTuple):
    row: AssignmentRow
    enrollment: EnrollmentRow
    lead: Lead
    had_it: frozenset[str]


async def serve_queue(session: AsyncSession, chooser: Chooser, limit: int) -> list[AssignmentRow]:
    """Offer leads that wait, oldest first, to whoever can take them; answer the offers, no more than `limit`."""
    offers: list[AssignmentRow] = []
    hopeless: set[tuple[Lead, frozenset[str]]] = set()
    after: str | None = ""
    while after is not None and len(offers) < limit and chooser.is_anybody_free():
        page, after = await _waiting(session, after)
        with session.no_autoflush:  # once, at the end, instead of after each lead
            for waiting in page:
                # Loads only grow in a transaction: nobody comes to be there for a lead like one that nobody can take.
                if len(offers) == limit or (waiting.lead, waiting.had_it) in hopeless:
                    continue
                choice = await chooser.choose(waiting.lead, waiting.had_it)
                if choice.person_id is None:
                    hopeless.add((waiting.lead, waiting.had_it))
                elif await _leaves_queue(session, waiting):
                    row = waiting.row
                    offers.append(chooser.decide(waiting.enrollment, row.step, row.number + 1, choice))
    return offers


async def _waiting(session: AsyncSession, after: str) -> tuple[list[_Waiting], str | None]:
    """The next leads that wait and are not held, oldest first, and after which id there are more."""
    found = list(
        await session.exec(
            select(AssignmentRow, EnrollmentRow, ContactRow)
            .join(EnrollmentRow, col(EnrollmentRow.id) == AssignmentRow.enrollment_id)
            .join(ContactRow, col(ContactRow.id) == AssignmentRow.contact_id)
            .where(AssignmentRow.status == "queued", AssignmentRow.id > after)
            .order_by(col(AssignmentRow.id))
            .limit(_PAGE)
        )
    )
    enrollments = [enrollment for _, enrollment, _ in found]
    held = await holds.held_among(session, enrollments)
    before = await session.exec(
        select(AssignmentRow.enrollment_id, AssignmentRow.step, AssignmentRow.person_id).where(
            col(AssignmentRow.enrollment_id).in_([enrollment.id for enrollment in enrollments]),
            col(AssignmentRow.person_id).is_not(None),
        )
    )
    had_it: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for enrollment_id, step, person_id in before:
        had_it[enrollment_id, step].add(str(person_id))
    page = [
        _Waiting(row, enrollment, lead_of(contact), frozenset(had_it[enrollment.id, row.step]))
        for row, enrollment, contact in found
        if enrollment.id not in held
    ]
    return page, found[-1][0].id if len(found) == _PAGE else None


async def _leaves_queue(session: AsyncSession, waiting: _Waiting) -> bool:
    """Take a lead out of the queue; False if its enrollment has ended, or was asked to."""
    # Locked and read again: whoever ends it closes what is open, and must find the offer that follows, or come before.
    await session.refresh(waiting.enrollment, with_for_update=True)
    if withdrawal(waiting.enrollment):
        return False
    waiting.row.status, waiting.row.closed_at = "drained", now()
    return True
