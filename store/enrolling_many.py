"""Many contacts put into one flow at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlmodel import and_, col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.among import among
from store.insertion import insert_those_new
from store.tables import EnrollmentRow, new_id, now


async def enroll_those_who_may(
    session: AsyncSession, *, flow: str, contact_ids: Collection[str], reenroll_after: timedelta | None
) -> None:
    """Enroll contacts, whom the caller has locked and nobody erases, with the flow's own settings.

    Whoever is in the flow, or may not enter it again yet, is passed by. The sweep tells Temporal of the others.
    """
    row = EnrollmentRow
    left = col(row.status) == "ended"
    lately = left if reenroll_after is None else and_(left, col(row.ended_at) > now() - reenroll_after)
    kept_out = select(row.contact_id).where(
        row.flow == flow, among(session, col(row.contact_id), contact_ids), or_(col(row.status) == "active", lately)
    )
    found = await session.exec(kept_out)
    free = set(contact_ids).difference(found)
    like = EnrollmentRow(flow=flow, contact_id="").model_dump()
    rows = [{**like, "id": new_id(), "contact_id": each} for each in sorted(free)]
    await insert_those_new(session, EnrollmentRow, rows)
