"""The message ledger: reserve, hand over, settle. At most one row for an enrollment's step, whatever crashes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from pydantic import BaseModel, JsonValue
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.circuit import Probe, Send
from domain.messages import REACHED, MessageClass, MessageStatus, Receipt, Settlement
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.list_tables import BroadcastRow
from store.tables import EnrollmentRow, month_of, now

OPEN = frozenset({MessageStatus.READY, MessageStatus.DEFERRED, MessageStatus.SENDING})
SETTLED = frozenset({*REACHED, MessageStatus.SKIPPED, MessageStatus.REJECTED})
_ATTEMPTS_KEPT = 50


class Verdict(BaseModel):
    """What became of one handover of a message. It can be kept elsewhere while the database is away.

    `provider_failed`: out of order, not reached, or silent. `permission` is what its circuit had allowed.
    """

    message_id: str
    handover: int
    provider: str
    permission: Send | Probe
    status: MessageStatus
    reason: str | None = None
    provider_failed: bool = False
    receipt: Receipt | None = None
    retry_after: timedelta | None = None


async def message_of_step(session: AsyncSession, enrollment: EnrollmentRow, *names: str) -> MessageRow | None:
    """The message of a step, under any of the names that it has or had."""
    return (
        await session.exec(
            select(MessageRow)
            .where(MessageRow.enrollment_id == enrollment.id, col(MessageRow.step).in_(names))
            .where(MessageRow.month == month_of(enrollment.created_at))
            .order_by(col(MessageRow.id))
            .with_for_update()
        )
    ).first()


async def lock_message(session: AsyncSession, message_id: str) -> MessageRow | None:
    query = select(MessageRow).where(MessageRow.id == message_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).one_or_none()


async def settle(session: AsyncSession, verdict: Verdict) -> MessageRow:
    """Write down a verdict; once settled, a message stays as it is.

    A verdict that gives the message back (ready) counts only for the newest handover: an attempt that was slow to
    learn of its refusal must not release what a later attempt has handed over.
    """
    row = await lock_message(session, verdict.message_id)
    assert row is not None  # noqa: S101 (a contact is erased after their messages are settled)
    note_attempt(row, str(verdict.status), reason=verdict.reason, provider=verdict.provider)
    newest = row.status == MessageStatus.SENDING and row.handovers == verdict.handover
    session.add(row)
    if row.status in SETTLED or (verdict.status == MessageStatus.READY and not newest):
        return row
    row.status = verdict.status
    row.reason = verdict.reason
    row.updated_at = now()
    if verdict.receipt is not None:
        row.provider_message_id = verdict.receipt.provider_message_id
        row.sent_at = now()
    if verdict.status in (MessageStatus.READY, MessageStatus.REJECTED):
        row.handed_over_at = None
    return row


def note_attempt(row: MessageRow, outcome: str, **more: JsonValue) -> None:
    """Add to what is known of a message's handovers, and of who settled it."""
    attempt: dict[str, JsonValue] = {"at": now().isoformat(), "outcome": outcome}
    row.attempts = [*row.attempts, attempt | {name: value for name, value in more.items() if value is not None}]
    row.attempts = row.attempts[-_ATTEMPTS_KEPT:]


async def handed_over(
    session: AsyncSession, contact_id: str, since: datetime, but: str
) -> list[tuple[MessageClass, datetime]]:
    """When messages but transactional ones, of any flow, were handed over for a contact since a moment, by class.

    Those that a provider surely did not take are none of them, nor is the message `but`.
    """
    found = await session.exec(
        select(MessageRow.message_class, MessageRow.handed_over_at).where(
            MessageRow.contact_id == contact_id,
            col(MessageRow.handed_over_at) > since,
            col(MessageRow.message_class).in_((MessageClass.RELATIONSHIP, MessageClass.MARKETING)),
            MessageRow.id != but,
        )
    )
    return [(MessageClass(kind), moment) for kind, moment in found if kind is not None and moment is not None]


async def deliveries_of(session: AsyncSession, message_id: str) -> list[DeliveryEventRow]:
    """What providers told of a message, oldest first."""
    query = select(DeliveryEventRow).where(DeliveryEventRow.message_id == message_id)
    return list(await session.exec(query.order_by(col(DeliveryEventRow.occurred_at), col(DeliveryEventRow.id))))


async def doubt_abandoned(session: AsyncSession, *, untouched_since: datetime, at_most: int) -> int:
    """List handovers that nobody will report on any more as unconfirmed; answer how many.

    Of an active enrollment, or a broadcast that is not over, the next attempt decides itself, and a provider that knows
    a repeated message gets it again.
    """
    ended = select(EnrollmentRow.id).where(EnrollmentRow.status == "ended")
    over = select(BroadcastRow.id).where(col(BroadcastRow.ended_at).is_not(None))
    abandoned = await session.exec(
        select(MessageRow)
        .where(
            col(MessageRow.status) == MessageStatus.SENDING,
            col(MessageRow.updated_at) < untouched_since,
            or_(col(MessageRow.enrollment_id).in_(ended), col(MessageRow.broadcast_id).in_(over)),
        )
        .order_by(col(MessageRow.id))
        .limit(at_most)
        .with_for_update(skip_locked=True)
    )
    rows = list(abandoned)
    for row in rows:
        doubt(row, "no answer was recorded")
        session.add(row)
    return len(rows)


def doubt(row: MessageRow, reason: str) -> None:
    """Nobody can say whether the provider has the message."""
    row.status, row.reason, row.updated_at = MessageStatus.UNCONFIRMED, reason, now()
    note_attempt(row, "unconfirmed", reason=reason, provider=row.provider)


def settle_doubt(row: MessageRow, settlement: Settlement, by: str, note: str | None = None) -> None:
    """Settle a message that is in doubt. A message to be resent is judged anew: permission, hours and frequency."""
    assert row.status == MessageStatus.UNCONFIRMED  # noqa: S101 (the caller has looked, and holds the row)
    note_attempt(row, str(settlement), by=by, note=note)
    row.updated_at = now()
    match settlement:
        case Settlement.SENT:
            row.status, row.reason, row.sent_at = MessageStatus.SENT, None, row.handed_over_at
        case Settlement.NOT_SENT:
            row.status, row.reason = MessageStatus.SKIPPED, "it did not go out, says who settled it"
            row.handed_over_at = None
        case Settlement.RESEND:
            row.status, row.reason = MessageStatus.READY, "to be resent"
            row.handed_over_at, row.resend_asked_at = None, now()


async def doubts_to_resend(
    session: AsyncSession, flows: Collection[str], doubted_before: datetime, at_most: int
) -> list[MessageRow]:
    """Messages to contacts, of these flows, in doubt since before a moment and not resent yet, oldest first. Locked."""
    query = select(MessageRow).where(
        col(MessageRow.status) == MessageStatus.UNCONFIRMED,
        col(MessageRow.updated_at) < doubted_before,
        col(MessageRow.resend_asked_at).is_(None),
        col(MessageRow.message).is_not(None),
        col(MessageRow.flow).in_(flows),
    )
    query = query.order_by(col(MessageRow.id)).limit(at_most).with_for_update(skip_locked=True)
    return list(await session.exec(query))


async def to_resend(session: AsyncSession, asked_before: datetime, limit: int, offset: int = 0) -> list[MessageRow]:
    """Messages that are to be resent and have not been handed over since, oldest first."""
    query = select(MessageRow).where(
        col(MessageRow.resend_asked_at) < asked_before, col(MessageRow.status) == MessageStatus.READY
    )
    return list(await session.exec(query.order_by(col(MessageRow.id)).limit(limit).offset(offset)))
