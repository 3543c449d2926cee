"""Opting a contact out of everything but transactional email."""

from __future__ import annotations

from api.telling import tell
from api.wiring import Services
from store.events import record_event
from store.tables import ContactRow, EventRow, new_id, now


async def unsubscribe(services: Services, contact: ContactRow) -> None:
    """Suppress the contact's address and end their enrollments; doing it twice does no harm."""
    event = EventRow(id=new_id(), contact_id=contact.id, name="unsubscribed", occurred_at=now())
    async with services.database.write() as session:
        await record_event(session, contact, event)
    await tell(services.dispatcher.deliver(event), f"event {event.id}")
