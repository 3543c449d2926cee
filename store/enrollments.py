"""Enrollments: who is in which flow, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy import func, true, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.flows import Exit, Outcome
from domain.messages import MessageStatus
from store.among import among
from store.erasures import require_no_erasure
from store.insertion import insert_unless_there
from store.ledger_tables import MessageRow
from store.questions import withdraw_all
from store.tables import EnrollmentRow, month_of, now


class AlreadyActive(Exception):
    """The contact is in this flow now."""

    def __init__(self, enrollment_id: str) -> None:
        super().__init__(enrollment_id)
        self.enrollment_id = enrollment_id


class NotYetAgain(Exception):
    """The flow's re-enrollment rule keeps the contact out; `until` is None if for ever."""

    def __init__(self, until: datetime | None) -> None:
        super().__init__(until)
        self.until = until


class Leaving(Exception):
    """The enrollment has ended, or was asked to: nothing begins for it any more."""


class KeyReused(Exception):
    """The idempotency key came before, with another request."""


async def enrollment_by_key(
    session: AsyncSession, flow: str, idempotency_key: str | None, request_hash: str | None
) -> EnrollmentRow | None:
    """The enrollment that this key made, if any. Raises: KeyReused if another request made it."""
    if idempotency_key is None:
        return None
    made = (
        await session.exec(
            select(EnrollmentRow).where(EnrollmentRow.flow == flow, EnrollmentRow.idempotency_key == idempotency_key)
        )
    ).one_or_none()
    if made is not None and made.request_hash != request_hash:
        raise KeyReused(idempotency_key)
    return made


async def enroll(
    session: AsyncSession,
    *,
    flow: str,
    contact_id: str,
    settings: dict[str, JsonValue],
    reenroll_after: timedelta | None,
    idempotency_key: str | None = None,
    request_hash: str | None = None,
    origin: str = "api",
    came_from: str | None = None,
    requested_by: str | None = None,
    is_new: bool = False,
) -> EnrollmentRow:
    """Put a contact into a flow; the row is what makes it true, Temporal is told afterwards.

    A contact who `is_new` was made in this transaction: nobody erases them, and they were in no flow before.

    `origin` is how they come in: api, hand-over, goal, schedule, bulk or trigger; `came_from` the enrollment that
    handed them over.
    Idempotency: the same key and request answer the enrollment they made before.
    Raises: AlreadyActive, NotYetAgain, KeyReused, BeingErased.
    """
    if made := await enrollment_by_key(session, flow, idempotency_key, request_hash):
        return made
    if not is_new:
        # Its foreign key will wait for the contact: not with the row in hand, which who has the contact may wait for.
        await require_no_erasure(session, contact_id)
        await _require_again(session, flow, contact_id, reenroll_after)
    row = EnrollmentRow(
        flow=flow,
        contact_id=contact_id,
        settings=settings,
        idempotency_key=idempotency_key,
        request_hash=request_hash,
        origin=origin,
        came_from=came_from,
        requested_by=requested_by,
    )
    if await insert_unless_there(session, row):
        return row
    if made := await enrollment_by_key(session, flow, idempotency_key, request_hash):
        return made
    active = (
        await session.exec(
            select(EnrollmentRow.id).where(
                EnrollmentRow.flow == flow, EnrollmentRow.contact_id == contact_id, EnrollmentRow.status == "active"
            )
        )
    ).one_or_none()
    if active is None:  # it ended between the two statements
        return await enroll(
            session,
            flow=flow,
            contact_id=contact_id,
            settings=settings,
            reenroll_after=reenroll_after,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
            origin=origin,
            came_from=came_from,
            requested_by=requested_by,
        )
    raise AlreadyActive(active)


async def _require_again(session: AsyncSession, flow: str, contact_id: str, reenroll_after: timedelta | None) -> None:
    """Raises: NotYetAgain."""
    query = select(EnrollmentRow.ended_at).where(
        EnrollmentRow.flow == flow, EnrollmentRow.contact_id == contact_id, EnrollmentRow.status == "ended"
    )
    ended_at = (await session.exec(query.order_by(col(EnrollmentRow.id).desc()).limit(1))).one_or_none()
    if ended_at is None:
        return
    if reenroll_after is None:
        raise NotYetAgain(None)
    if now() < ended_at + reenroll_after:
        raise NotYetAgain(ended_at + reenroll_after)


async def active_enrollments(session: AsyncSession, contact_id: str) -> list[EnrollmentRow]:
    found = await session.exec(
        select(EnrollmentRow).where(EnrollmentRow.contact_id == contact_id, EnrollmentRow.status == "active")
    )
    return list(found)


def withdrawal(enrollment: EnrollmentRow) -> str | None:
    """Why nothing more is to be done for an enrollment, or None."""
    if enrollment.status == "ended":
        return f"the enrollment ended: {enrollment.exit}"
    return "the enrollment was cancelled" if enrollment.cancel_requested_at else None


async def open_enrollment(session: AsyncSession, enrollment_id: str) -> EnrollmentRow:
    """The enrollment, kept from ending until the transaction is over. Raises: Leaving."""
    query = select(EnrollmentRow).where(EnrollmentRow.id == enrollment_id)
    enrollment = (await session.exec(query.with_for_update())).one()
    if withdrawal(enrollment):
        raise Leaving
    return enrollment


async def is_active(session: AsyncSession, enrollment_id: str) -> bool:
    found = await session.exec(select(EnrollmentRow.status).where(EnrollmentRow.id == enrollment_id))
    return found.one_or_none() == "active"


async def mark_started(session: AsyncSession, enrollment_ids: Sequence[str]) -> frozenset[str]:
    """Note that Temporal was told of some enrollments; answer those of them that are still active."""
    ids = col(EnrollmentRow.id)
    told = await session.exec(
        update(EnrollmentRow)
        .where(among(session, ids, enrollment_ids))
        .values(started_at=func.coalesce(col(EnrollmentRow.started_at), now()))
        .returning(ids, col(EnrollmentRow.status))
        .execution_options(synchronize_session=False)
    )
    return frozenset(enrollment_id for enrollment_id, status in told if status == "active")


async def active_among(session: AsyncSession, enrollment_ids: Sequence[str]) -> frozenset[str]:
    """Those of these enrollments that are active."""
    ids = col(EnrollmentRow.id)
    return frozenset(
        await session.exec(
            select(ids).where(among(session, ids, enrollment_ids), col(EnrollmentRow.status) == "active")
        )
    )


async def mark_cancel_told(session: AsyncSession, enrollment_id: str) -> None:
    await session.exec(update(EnrollmentRow).where(col(EnrollmentRow.id) == enrollment_id).values(cancel_told_at=now()))


async def request_cancel(session: AsyncSession, enrollment_id: str) -> EnrollmentRow | None:
    """Ask for an active enrollment to end: it sends nothing from here on. Twice, or too late, changes nothing."""
    row = await session.get(EnrollmentRow, enrollment_id, with_for_update=True)
    if row is not None and row.status == "active" and row.cancel_requested_at is None:
        row.cancel_requested_at = now()
        session.add(row)
    return row


async def record_outcome(session: AsyncSession, enrollment_id: str, outcome: Outcome, build: str | None = None) -> bool:
    """End an enrollment, which began on this build; answer whether it was active.

    The first outcome stays. A message that is still to be handed over is withdrawn, and whatever people are asked.
    """
    row = await session.get(EnrollmentRow, enrollment_id, with_for_update=True)
    if row is None or row.status == "ended":
        return False
    row.sqlmodel_update(
        {
            "status": "ended",
            "ended_at": now(),
            "started_at": row.started_at or now(),
            "exit": outcome.exit,
            "exit_reason": outcome.reason,
            "last_step": outcome.step,
            "skipped_steps": outcome.skipped,
            "build": row.build or build,
        }
    )
    session.add(row)
    await session.exec(
        update(MessageRow)
        .where(
            col(MessageRow.enrollment_id) == enrollment_id,
            col(MessageRow.month) == month_of(row.created_at),
            col(MessageRow.status).in_((MessageStatus.READY, MessageStatus.DEFERRED)),
            # What the flow had done with and is resent belongs to the journey that came to its end.
            col(MessageRow.resend_asked_at).is_(None) if outcome.exit is Exit.COMPLETED else true(),
        )
        .values(status=MessageStatus.SKIPPED, reason=f"the enrollment ended: {outcome.exit}", updated_at=now())
    )
    await withdraw_all(session, enrollment_id, outcome.exit)
    return True


async def not_started(
    session: AsyncSession, flows: Sequence[str], created_before: datetime, limit: int, offset: int = 0
) -> list[EnrollmentRow]:
    """Active enrollments in these flows that Temporal was not told of, oldest first."""
    query = (
        select(EnrollmentRow)
        .where(EnrollmentRow.status == "active", col(EnrollmentRow.flow).in_(flows))
        .where(col(EnrollmentRow.started_at).is_(None), EnrollmentRow.created_at < created_before)
    )
    return list(await session.exec(query.order_by(col(EnrollmentRow.id)).limit(limit).offset(offset)))


async def cancels_not_told(
    session: AsyncSession, flows: Sequence[str], asked_before: datetime, limit: int, offset: int = 0
) -> list[EnrollmentRow]:
    """Active enrollments in these flows whose cancellation Temporal was not told of, oldest first."""
    query = (
        select(EnrollmentRow)
        .where(EnrollmentRow.status == "active", col(EnrollmentRow.flow).in_(flows))
        .where(col(EnrollmentRow.cancel_requested_at) < asked_before, col(EnrollmentRow.cancel_told_at).is_(None))
    )
    return list(await session.exec(query.order_by(col(EnrollmentRow.id)).limit(limit).offset(offset)))


async def begin_replacing(session: AsyncSession, enrollment_id: str) -> EnrollmentRow | None:
    """Note that the enrollment's run is about to be replaced by another; None if it has ended.

    Until `end_replacing` the sweep tells its run again whatever it may have missed.
    """
    row = await session.get(EnrollmentRow, enrollment_id, with_for_update=True)
    if row is None or row.status == "ended":
        return None
    row.replacing_since = row.replacing_since or now()
    session.add(row)
    return row


async def end_replacing(session: AsyncSession, enrollment_id: str, since: datetime) -> None:
    """Its run knows everything that was told since. A replacement that was begun meanwhile stays noted."""
    await session.exec(
        update(EnrollmentRow)
        .where(col(EnrollmentRow.id) == enrollment_id, col(EnrollmentRow.replacing_since) == since)
        .values(replacing_since=None)
    )


async def half_replaced(
    session: AsyncSession, flows: Sequence[str], begun_before: datetime, limit: int, offset: int = 0
) -> list[EnrollmentRow]:
    """Enrollments in these flows whose replacement was begun and not brought to its end, oldest first."""
    query = select(EnrollmentRow).where(
        col(EnrollmentRow.replacing_since) < begun_before, col(EnrollmentRow.flow).in_(flows)
    )
    return list(await session.exec(query.order_by(col(EnrollmentRow.id)).limit(limit).offset(offset)))
