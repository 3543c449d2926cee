"""What triggers make of a change: kept in its transaction, told to Temporal after it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from api.telling import tell
from api.wiring import Services
from store.tables import ContactRow, EnrollmentRow, EventRow
from store.triggers import Happened, enroll_by_triggers


async def triggered_by(
    session: AsyncSession, services: Services, contact: ContactRow, event: EventRow | None = None
) -> list[EnrollmentRow]:
    """Enroll the contact whom the caller's transaction has changed, or to whom this event has happened.

    It is the last thing that a transaction does. Returns: the enrollments, for `tell_triggered`.
    """
    happened = [Happened.of(event)] if event is not None else []
    return await enroll_by_triggers(session, services.dispatcher.flows, [contact.id], happened)


async def tell_triggered(services: Services, enrollments: Sequence[EnrollmentRow]) -> None:
    """Start them, as far as that can be done now; the sweep does the rest."""
    if enrollments:
        await tell(services.dispatcher.start_many(enrollments), f"{len(enrollments)} enrollments by triggers")
