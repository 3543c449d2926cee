"""Opting a contact out of everything but transactional email."""

from __future__ import annotations

from api.telling import tell
from api.wiring import Services
from store.events import record_event
from store.tables import ContactRow, EventRow, now

OWN_PREFIX = "unsubscribe:"


async def unsubscribe(services: Services, contact: ContactRow) -> None:
    """Suppress the contact's address and end their enrollments; doing it twice does nothing."""
    event = EventRow(id=f"{OWN_PREFIX}{contact.id}", contact_id=contact.id, name="unsubscribed", occurred_at=now())
    async with services.database.write() as session:
        new = await record_event(session, contact, event)
    if new:
        await tell(services.dispatcher.deliver(event), f"event {event.id}")
