"""Events: recorded first, then told to the enrollments that they concern."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.events import NO_ACTS, SUPPRESSED_AFTER
from domain.suppressions import SuppressionReason
from store.crm import note_lifted_sunset
from store.insertion import insert_unless_there
from store.locks import lock
from store.suppressions import suppress, unsuppress
from store.tables import ContactRow, EventRow, now


async def record_event(session: AsyncSession, contact: ContactRow, event: EventRow) -> bool:
    """Keep an event; one after which a contact leaves suppresses their address in the same transaction.

    One by which they act lifts a sunset from before it.

    Returns: whether it is new. Idempotency: an event of an id that is known changes nothing, whenever it happened.
    """
    # PostgreSQL keeps an id unique within the month alone in which the event happened.
    await lock(session, f"event:{event.id}")
    known = await session.exec(select(EventRow.id).where(EventRow.id == event.id).limit(1))
    return known.first() is None and await record_told_event(session, contact, event)


async def record_told_event(session: AsyncSession, contact: ContactRow, event: EventRow) -> bool:
    """The same for an event that always comes with the same moment: its id may come again at that moment alone."""
    if not await insert_unless_there(session, event):
        return False
    if event.name in SUPPRESSED_AFTER:
        await suppress(session, contact.email, SUPPRESSED_AFTER[event.name], "event")
    elif event.name not in NO_ACTS and await unsuppress(
        session, contact.email, SuppressionReason.SUNSET, before=event.occurred_at
    ):
        await note_lifted_sunset(session, contact.id)
    return True


async def undelivered(session: AsyncSession, received_before: datetime, limit: int, offset: int = 0) -> list[EventRow]:
    """Events that Temporal was not told of, oldest first."""
    found = await session.exec(
        select(EventRow)
        .where(col(EventRow.delivered_at).is_(None), EventRow.received_at < received_before)
        .order_by(col(EventRow.received_at), col(EventRow.id))
        .limit(limit)
        .offset(offset)
    )
    return list(found)


async def told_since(session: AsyncSession, contact_id: str, since: datetime) -> list[EventRow]:
    """A contact's events that Temporal was told of since a moment, or not yet, oldest first."""
    told = (col(EventRow.delivered_at) >= since) | col(EventRow.delivered_at).is_(None)
    query = select(EventRow).where(EventRow.contact_id == contact_id, told)
    return list(await session.exec(query.order_by(col(EventRow.received_at), col(EventRow.id))))


async def mark_delivered(session: AsyncSession, event_id: str) -> None:
    await session.exec(update(EventRow).where(col(EventRow.id) == event_id).values(delivered_at=now()))


async def latest_property(session: AsyncSession, contact_id: str, name: str, among: Collection[str]) -> str | None:
    """The contact's latest word, one of some, in a property of this name of any event; of their last 100 events."""
    query = select(EventRow).where(EventRow.contact_id == contact_id)
    newest = await session.exec(query.order_by(col(EventRow.occurred_at).desc(), col(EventRow.id).desc()).limit(100))
    words = (event.properties.get(name) for event in newest)
    return next((word for word in words if isinstance(word, str) and word in among), None)


async def last_event(session: AsyncSession, contact_id: str, name: str) -> EventRow | None:
    """The one of this name that we were told of last."""
    query = select(EventRow).where(EventRow.contact_id == contact_id, EventRow.name == name)
    newest = await session.exec(query.order_by(col(EventRow.received_at).desc(), col(EventRow.id).desc()).limit(1))
    return newest.one_or_none()
