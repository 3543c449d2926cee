"""The message ledger: reserve, hand over, settle. At most one row for an enrollment's step, whatever crashes."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.messages import MessageStatus, Receipt
from store.tables import EnrollmentRow, MessageRow, now

SETTLED = frozenset({MessageStatus.SENT, MessageStatus.SKIPPED, MessageStatus.REJECTED})


class Verdict(BaseModel):
    """What became of one handover of a message. It can be kept elsewhere while the database is away."""

    message_id: str
    handover: int
    status: MessageStatus
    reason: str | None = None
    receipt: Receipt | None = None
    retry_after: timedelta | None = None


async def message_of_step(session: AsyncSession, enrollment_id: str, *names: str) -> MessageRow | None:
    """The message of a step, under any of the names that it has or had."""
    return (
        await session.exec(
            select(MessageRow)
            .where(MessageRow.enrollment_id == enrollment_id, col(MessageRow.step).in_(names))
            .order_by(col(MessageRow.id))
            .with_for_update()
        )
    ).first()


async def settle(session: AsyncSession, verdict: Verdict) -> MessageRow:
    """Write down a verdict; once settled, a message stays as it is.

    A verdict that gives the message back (ready) counts only for the newest handover: an attempt that was slow to
    learn of its refusal must not release what a later attempt has handed over.
    """
    row = (await session.exec(select(MessageRow).where(MessageRow.id == verdict.message_id).with_for_update())).one()
    newest = row.status == MessageStatus.SENDING and row.handovers == verdict.handover
    if row.status in SETTLED or (verdict.status == MessageStatus.READY and not newest):
        return row
    row.status = verdict.status
    row.reason = verdict.reason
    row.updated_at = now()
    if verdict.receipt is not None:
        row.provider_message_id = verdict.receipt.provider_message_id
        row.sent_at = now()
    session.add(row)
    return row


async def doubt_abandoned(session: AsyncSession, *, untouched_since: datetime) -> int:
    """List handovers that nobody will report on any more as unconfirmed; answer how many.

    Of an active enrollment the next attempt decides itself, and a provider that knows a repeated message gets it again.
    """
    ended = select(EnrollmentRow.id).where(EnrollmentRow.status == "ended")
    doubted = await session.exec(
        update(MessageRow)
        .where(
            col(MessageRow.status) == MessageStatus.SENDING,
            col(MessageRow.updated_at) < untouched_since,
            col(MessageRow.enrollment_id).in_(ended),
        )
        .values(status=MessageStatus.UNCONFIRMED, reason="no answer was recorded", updated_at=now())
    )
    return doubted.rowcount
