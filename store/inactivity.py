"""Contacts who did nothing for some time, and their enrollment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from sqlalchemy import exists, func
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.events import NO_ACTS
from store.enrollments import AlreadyActive, NotYetAgain, enroll
from store.erasures import BeingErased
from store.holds import Scope, open_holds
from store.locks import lock
from store.suppressions import email_hashes
from store.tables import ContactRow, EnrollmentRow, EventRow, SuppressionRow, now

ORIGIN = "schedule"


class Page(NamedTuple):
    """How many were enrolled, and the contact id that the next page comes after; None if none is to come."""

    enrolled: int
    next_after: str | None


async def enroll_page(
    session: AsyncSession,
    flow: str,
    *,
    inactive_since: datetime,
    reenroll_after: timedelta | None,
    at_most: int,
    after: str,
    limit: int,
) -> Page:
    """Enroll the next contacts, in the order of their ids, who have done nothing since a moment.

    Passed by: contacts who are younger than that, whom the re-enrollment rule excludes, or whose address is suppressed.
    No more than `at_most` a day (UTC) come into the flow by this way, over all calls; nobody while it is held.
    """
    await lock(session, f"enroll-inactive:{flow}")
    left = at_most - await _enrolled_today(session, flow)
    if left <= 0 or await open_holds(session, Scope.FLOW, [flow]):
        return Page(0, None)
    found = await _inactive(session, flow, inactive_since, reenroll_after, after, limit)
    suppressed = await _suppressed(session, found)
    enrolled = 0
    for contact in found:
        if enrolled == left:
            return Page(enrolled, None)
        if contact.id in suppressed:
            continue
        try:
            await enroll(
                session, flow=flow, contact_id=contact.id, settings={}, reenroll_after=reenroll_after, origin=ORIGIN
            )
        except (AlreadyActive, NotYetAgain, BeingErased):  # enrolled by somebody else, or erased, in this moment
            continue
        enrolled += 1
    return Page(enrolled, found[-1].id if len(found) == limit else None)


async def _inactive(
    session: AsyncSession,
    flow: str,
    since: datetime,
    reenroll_after: timedelta | None,
    after: str,
    limit: int,
) -> Sequence[ContactRow]:
    acted = exists().where(
        col(EventRow.contact_id) == col(ContactRow.id),
        col(EventRow.occurred_at) >= since,
        col(EventRow.name).not_in(NO_ACTS),
    )
    excluded = col(EnrollmentRow.status) == "active"
    if reenroll_after is None:
        excluded = or_(excluded, col(EnrollmentRow.status) == "ended")
    else:
        excluded = or_(excluded, col(EnrollmentRow.ended_at) > now() - reenroll_after)
    kept_out = exists().where(
        col(EnrollmentRow.contact_id) == col(ContactRow.id), col(EnrollmentRow.flow) == flow, excluded
    )
    query = select(ContactRow).where(ContactRow.id > after, ContactRow.created_at < since, ~acted, ~kept_out)
    return list(await session.exec(query.order_by(col(ContactRow.id)).limit(limit)))


async def _enrolled_today(session: AsyncSession, flow: str) -> int:
    midnight = datetime.combine(now().date(), time(), UTC)
    query = select(func.count()).where(
        col(EnrollmentRow.flow) == flow,
        col(EnrollmentRow.origin) == ORIGIN,
        col(EnrollmentRow.created_at) >= midnight,
    )
    return (await session.exec(query)).one()


async def _suppressed(session: AsyncSession, contacts: Sequence[ContactRow]) -> set[str]:
    """The ids of those whose address is suppressed, for whatever reason."""
    ids = {hash_: contact.id for contact in contacts for hash_ in email_hashes(session, contact.email)}
    found = await session.exec(select(SuppressionRow.email_hash).where(col(SuppressionRow.email_hash).in_(ids)))
    return {ids[hash_] for hash_ in found}
