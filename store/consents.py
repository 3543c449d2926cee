"""What contacts agreed to, topic by topic. Rows are only added: the latest counts, the others prove what was when."""

from __future__ import annotations

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.consent import ConsentState
from store.tables import ConsentRow


async def record_consent(session: AsyncSession, word: ConsentRow) -> bool:
    """Keep a contact's word on a topic; answer whether it differs from their last one, else nothing is kept."""
    if (await consent_of(session, word.contact_id)).get(word.topic) == word.state:
        return False
    session.add(word)
    await session.flush()
    return True


async def consent_of(session: AsyncSession, contact_id: str) -> dict[str, ConsentState]:
    """The contact's latest word by topic."""
    rows = await session.exec(
        select(ConsentRow).where(ConsentRow.contact_id == contact_id).order_by(col(ConsentRow.id))
    )
    return {row.topic: ConsentState(row.state) for row in rows}
