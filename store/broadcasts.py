"""Broadcasts as they are asked for, changed and counted. What becomes of each message is in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, func, or_, true, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.audiences import AudienceSource
from domain.broadcasts import OVER, BroadcastOrder, BroadcastSettings, BroadcastStatus, VariantCount
from domain.messages import REACHED, MessageStatus
from store.audiences import keep_audience, require_source
from store.enrollments import KeyReused
from store.ledger_tables import MessageRow
from store.list_tables import AudienceMemberRow, BroadcastRow
from store.locks import lock
from store.tables import EventRow, month_of, new_id, now


class CannotChange(Exception):
    """The broadcast is over, or on its way to it: the text is its status."""


class Count(NamedTuple):
    """Messages of one variant in one status; `clicked` by a person."""

    variant: str | None
    status: MessageStatus
    messages: int
    clicked: int


class Reached(NamedTuple):
    """How many contacts there are in a group, and how many of them had the event since."""

    contacts: int
    reached: int


async def broadcast_by_key(session: AsyncSession, key: str | None, request_hash: str) -> BroadcastRow | None:
    """What this idempotency key has made before. Raises: KeyReused if another request made it."""
    if key is None:
        return None
    await lock(session, f"broadcast:{key}")
    row = (await session.exec(select(BroadcastRow).where(BroadcastRow.idempotency_key == key))).one_or_none()
    if row is not None and row.request_hash != request_hash:
        raise KeyReused(key)
    return row


async def add_broadcast(
    session: AsyncSession,
    order: BroadcastOrder,
    *,
    idempotency_key: str | None = None,
    request_hash: str | None = None,
    requested_by: str | None = None,
    schedule_id: str | None = None,
) -> BroadcastRow:
    """Keep a broadcast that is to begin. Raises: UnknownSource.

    Contacts that are named by id are written down as its audience at once, and nowhere else: an erasure finds them.
    """
    await require_source(session, order.source)
    row = BroadcastRow(
        id=new_id(),
        name=order.name,
        message=order.message,
        source=order.source.model_dump(mode="json", exclude_none=True),
        definition=order.settings.model_dump(mode="json", exclude_unset=True),
        status=BroadcastStatus.WAITING,
        idempotency_key=idempotency_key,
        request_hash=request_hash,
        requested_by=requested_by,
        schedule_id=schedule_id,
        created_at=now(),
    )
    if order.source.contact_ids is not None:
        kept = await keep_audience(session, row.id, order.source, row.created_at)
        row.source = {"contacts": kept}
    session.add(row)
    await session.flush()
    return row


def settings_of(row: BroadcastRow) -> BroadcastSettings:
    return BroadcastSettings.model_validate(row.definition)


async def page_of_broadcasts(
    session: AsyncSession, *, limit: int, before: str | None = None, status: BroadcastStatus | None = None
) -> list[BroadcastRow]:
    """Broadcasts older than the id `before`, newest first; a filter that is None lets every row through."""
    query = select(BroadcastRow).where(
        true() if before is None else col(BroadcastRow.id) < before,
        true() if status is None else col(BroadcastRow.status) == status,
    )
    return list(await session.exec(query.order_by(col(BroadcastRow.id).desc()).limit(limit)))


async def lock_broadcast(session: AsyncSession, broadcast_id: str) -> BroadcastRow | None:
    query = select(BroadcastRow).where(BroadcastRow.id == broadcast_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).one_or_none()


async def standing(session: AsyncSession, broadcast_id: str) -> BroadcastStatus:
    """Raises: NoResultFound."""
    found = await session.exec(select(BroadcastRow.status).where(BroadcastRow.id == broadcast_id))
    return BroadcastStatus(found.one())


async def change_broadcast(
    session: AsyncSession, broadcast_id: str, to: BroadcastStatus, reason: str | None = None
) -> BroadcastRow | None:
    """Hold, resume (SENDING) or cancel (CANCELLING) it; None if there is none. Twice changes nothing.

    Its workflow is to be told. Raises: CannotChange.
    """
    row = await lock_broadcast(session, broadcast_id)
    if row is None:
        return None
    if to is BroadcastStatus.SENDING and row.size is None:
        to = BroadcastStatus.WAITING
    ending = (*OVER, BroadcastStatus.CANCELLING)
    if row.status == to or (to is BroadcastStatus.CANCELLING and row.status == BroadcastStatus.CANCELLED):
        return row
    if row.status in ending:
        raise CannotChange(row.status)
    if to in (BroadcastStatus.WAITING, BroadcastStatus.SENDING) and row.status != BroadcastStatus.HELD:
        return row
    row.status, row.reason, row.to_tell_since = to, reason, now()
    session.add(row)
    return row


async def to_tell(session: AsyncSession, before: datetime, limit: int, offset: int = 0) -> list[BroadcastRow]:
    """Broadcasts whose workflow was not started, or not told of a change, since before a moment."""
    never_begun = and_(col(BroadcastRow.begun_at).is_(None), col(BroadcastRow.created_at) < before)
    query = select(BroadcastRow).where(or_(never_begun, col(BroadcastRow.to_tell_since) < before))
    return list(await session.exec(query.order_by(col(BroadcastRow.id)).limit(limit).offset(offset)))


async def mark_told(session: AsyncSession, row: BroadcastRow) -> None:
    """Its workflow runs, and knows that it is to look at what was changed as of this row; not of what came since."""
    begun = update(BroadcastRow).where(col(BroadcastRow.id) == row.id, col(BroadcastRow.begun_at).is_(None))
    await session.exec(begun.values(begun_at=now()))
    told = update(BroadcastRow).where(
        col(BroadcastRow.id) == row.id, col(BroadcastRow.to_tell_since) == row.to_tell_since
    )
    await session.exec(told.values(to_tell_since=None))


async def begin(session: AsyncSession, row: BroadcastRow) -> int:
    """Write down whom it is for; answer how many. Idempotent. Raises: UnknownSource."""
    if row.size is None:
        if "contacts" not in row.source:
            await keep_audience(session, row.id, AudienceSource.model_validate(row.source), now())
        # Not the count: whoever was erased since it was written down has left a gap below.
        row.size = await audience_size(session, row.id)
    if row.status == BroadcastStatus.WAITING:
        row.status = BroadcastStatus.SENDING
    session.add(row)
    return row.size


async def audience_size(session: AsyncSession, broadcast_id: str) -> int:
    """The position after the last one; also of one that is written down and has not begun."""
    query = select(func.max(AudienceMemberRow.position)).where(AudienceMemberRow.audience_id == broadcast_id)
    last = (await session.exec(query)).one()
    return 0 if last is None else int(last) + 1


async def counts_of(session: AsyncSession, row: BroadcastRow) -> list[Count]:
    """Its messages by variant and status."""
    clicked = func.count().filter(col(MessageRow.clicked).is_(True))
    query = (
        select(MessageRow.variant, MessageRow.status, func.count(), clicked)
        .where(MessageRow.broadcast_id == row.id, MessageRow.month == month_of(row.created_at))
        .group_by(col(MessageRow.variant), col(MessageRow.status))
    )
    return [Count(variant, MessageStatus(status), *rest) for variant, status, *rest in await session.exec(query)]


async def variant_counts(session: AsyncSession, row: BroadcastRow) -> Mapping[str, VariantCount]:
    found: dict[str, VariantCount] = {}
    for count in await counts_of(session, row):
        if count.variant is not None and count.status in REACHED:
            sent, clicked = found.get(count.variant, VariantCount(0, 0))
            found[count.variant] = VariantCount(sent + count.messages, clicked + count.clicked)
    return found


async def goals_of(session: AsyncSession, row: BroadcastRow, event: str, held_out_from: int) -> tuple[Reached, Reached]:
    """Of those who have the message, and of the holdout: how many had this event since the broadcast began."""
    since = row.begun_at or row.created_at
    had_it = (
        select(EventRow.id)
        .where(
            EventRow.contact_id == AudienceMemberRow.contact_id,
            EventRow.name == event,
            EventRow.occurred_at >= since,
        )
        .correlate(AudienceMemberRow)
        .exists()
    )
    got_it = (
        select(MessageRow.id)
        .where(
            MessageRow.broadcast_id == row.id,
            MessageRow.month == month_of(row.created_at),
            MessageRow.contact_id == AudienceMemberRow.contact_id,
            col(MessageRow.status).in_(REACHED),
        )
        .correlate(AudienceMemberRow)
        .exists()
    )
    held_out = col(AudienceMemberRow.position) >= held_out_from
    counted = []
    for group in (and_(~held_out, got_it), held_out):
        query = select(func.count(), func.count().filter(had_it)).where(AudienceMemberRow.audience_id == row.id, group)
        counted.append(Reached(*(await session.exec(query)).one()))
    return counted[0], counted[1]


async def end(session: AsyncSession, broadcast_id: str) -> BroadcastRow:
    """Nothing of it is open any more."""
    row = await lock_broadcast(session, broadcast_id)
    assert row is not None  # noqa: S101 (a broadcast is never deleted)
    if row.ended_at is None:
        cancelled = row.status == BroadcastStatus.CANCELLING
        row.status = BroadcastStatus.CANCELLED if cancelled else BroadcastStatus.FINISHED
        row.ended_at = now()
        session.add(row)
    return row
