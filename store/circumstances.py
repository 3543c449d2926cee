"""What the sending rules look at, for many contacts at once: the same as is read for one, in a query for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.consent import ConsentState
from domain.messages import MessageClass
from domain.suppressions import SuppressionReason
from store.among import among
from store.ledger_tables import MessageRow
from store.suppressions import email_hashes
from store.tables import ConsentRow, SuppressionRow


async def words_on(session: AsyncSession, topic: str, contact_ids: Sequence[str]) -> dict[str, ConsentState]:
    """Each contact's latest word on a topic; who said none is left out."""
    query = (
        select(ConsentRow.contact_id, ConsentRow.state)
        .where(ConsentRow.topic == topic, among(session, col(ConsentRow.contact_id), contact_ids))
        .order_by(col(ConsentRow.recorded_at), col(ConsentRow.id))
    )
    return {contact_id: ConsentState(state) for contact_id, state in await session.exec(query)}


async def suppressions_among(
    session: AsyncSession, emails: Sequence[str]
) -> Mapping[str, frozenset[SuppressionReason]]:
    """The reasons for which addresses are not written to, by address; of others none."""
    by_hash = {hashed: email for email in emails for hashed in email_hashes(session, email)}
    query = select(SuppressionRow.email_hash, SuppressionRow.reason).where(
        among(session, col(SuppressionRow.email_hash), by_hash)
    )
    found = defaultdict[str, frozenset[SuppressionReason]](frozenset)
    for hashed, reason in await session.exec(query):
        found[by_hash[hashed]] |= {SuppressionReason(reason)}
    return found


async def handed_over_to(
    session: AsyncSession, contact_ids: Sequence[str], since: datetime, but_of_broadcast: str
) -> Mapping[str, list[tuple[MessageClass, datetime]]]:
    """As `store.ledger.handed_over`, by contact; messages of one broadcast are none of them."""
    row = MessageRow
    query = select(row.contact_id, row.message_class, row.handed_over_at).where(
        among(session, col(row.contact_id), contact_ids),
        col(row.handed_over_at) > since,
        col(row.message_class).in_((MessageClass.RELATIONSHIP, MessageClass.MARKETING)),
        col(row.broadcast_id).is_distinct_from(but_of_broadcast),
    )
    found = defaultdict[str, list[tuple[MessageClass, datetime]]](list)
    for contact_id, kind, moment in await session.exec(query):
        if kind is not None and moment is not None:
            found[contact_id].append((MessageClass(kind), moment))
    return found
