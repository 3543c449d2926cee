"""Asking for a contact's erasure: from then on they are written to no more."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from domain.events import ERASED
from domain.suppressions import SuppressionReason
from store.erasures import erasure_of
from store.events import record_event
from store.suppressions import email_hashes, suppress
from store.tables import ContactRow, ErasureRow, EventRow, new_id, now

SOURCE = "erasure"


async def request_erasure(session: AsyncSession, contact_id: str, requested_by: str) -> ErasureRow | None:
    """Have a contact erased; None if there is none of this id.

    From here on nobody writes to the address, and the contact comes into no flow. Asked again, it is the same erasure.
    """
    # Whoever adds something to the contact at this moment does so before, or is refused: see `require_no_erasure`.
    contact = await session.get(ContactRow, contact_id, with_for_update=True)
    under_way = await erasure_of(session, contact_id)
    if under_way is not None or contact is None:
        return under_way
    erasure = ErasureRow(
        contact_id=contact.id, email_hash=email_hashes(session, contact.email)[0], requested_by=requested_by
    )
    session.add(erasure)
    await suppress(session, contact.email, SuppressionReason.ERASED, SOURCE)
    await record_event(session, contact, EventRow(id=new_id(), contact_id=contact.id, name=ERASED, occurred_at=now()))
    await session.flush()
    return erasure
