"""The ledger of a broadcast, many rows at a time: reserve, hand over, settle, as `store.ledger` does one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Row, and_, case, literal_column, or_, update
from sqlalchemy import select as select_columns
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.broadcasts import FLOW
from domain.circuit import Probe, Send
from domain.messages import MessageStatus, Receipt
from store import ledger
from store.among import among
from store.insertion import insert_many
from store.ledger_tables import MessageRow
from store.list_tables import AudienceMemberRow, BroadcastRow
from store.tables import ContactRow, month_of, new_id, now

_NOT_BY_HAND = col(MessageRow.resend_asked_at).is_(None)
"""What a person had resent goes out by itself, and is no batch's."""
_CONTACT: Sequence[Any] = [
    col(ContactRow.id),
    col(ContactRow.email),
    col(ContactRow.first_name),
    col(ContactRow.last_name),
    col(ContactRow.locale),
    col(ContactRow.time_zone),
    col(ContactRow.country),
    col(ContactRow.region),
    col(ContactRow.company),
    col(ContactRow.attributes),
]


class DecidedMeanwhile(Exception):
    """Another attempt has decided on some of these contacts: what it says counts."""


class Open(NamedTuple):
    """A contact of the broadcast who is to be decided on. Without a position they have a row in the ledger."""

    contact_id: str
    position: int | None


class PostVerdict(BaseModel):
    """What became of one request. It can be kept elsewhere while the database is away.

    `handed_over_at` is the request's own moment, by which its rows are told from others of the broadcast; `ids` are
    given if it was of some of them only.
    """

    broadcast_id: str
    handed_over_at: datetime
    ids: list[str] | None = None
    provider: str
    permission: Send | Probe
    status: MessageStatus
    reason: str | None = None
    provider_failed: bool = False
    receipt: Receipt | None = None
    retry_after: timedelta | None = None


async def open_in_range(session: AsyncSession, broadcast: BroadcastRow, first: int, end: int) -> list[Open]:
    """Those of the audience from `first` to before `end` who are to be decided on, and wait for no later time."""
    member, message = AudienceMemberRow, MessageRow
    # Asked of each by itself: of a broadcast that has just begun PostgreSQL knows no figures, and where it may join it
    # reads all that there is of it for each member.
    to_do = and_(col(message.status).in_(("ready", "sending")), _NOT_BY_HAND)
    known = (
        select_columns(case((to_do, "to do"), else_="decided"))
        .where(_of(broadcast), col(message.contact_id) == col(member.contact_id))
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select_columns(col(member.contact_id), col(member.position), known)
        .where(col(member.audience_id) == broadcast.id, col(member.position) >= first, col(member.position) < end)
        .order_by(col(member.position))
    )
    rows = map(tuple, await _execute(session, query))
    return [Open(who, None if said else position) for who, position, said in rows if said != "decided"]


async def open_and_due(session: AsyncSession, broadcast: BroadcastRow, at: datetime, limit: int) -> list[Open]:
    """Those who waited for a moment that has come, longest first. Nothing else of the broadcast is under way now."""
    row = MessageRow
    due = or_(col(row.deferred_until).is_(None), col(row.deferred_until) <= at)
    query = (
        select_columns(col(row.contact_id))
        .where(_open(broadcast), due, _NOT_BY_HAND)
        .order_by(col(row.deferred_until))
        .limit(limit)
    )
    return [Open(contact_id, None) for (contact_id,) in await _execute(session, query)]


async def next_due(session: AsyncSession, broadcast: BroadcastRow) -> datetime | None:
    """When the next of those who wait is to be decided on; None if nobody waits any more."""
    waiting = (_open(broadcast), col(MessageRow.status) != MessageStatus.SENDING, _NOT_BY_HAND)
    at_once = select(MessageRow.id).where(*waiting, col(MessageRow.deferred_until).is_(None))
    if (await session.exec(at_once.limit(1))).first() is not None:
        return now()
    later = select(MessageRow.deferred_until).where(*waiting).order_by(col(MessageRow.deferred_until))
    return (await session.exec(later.limit(1))).first()


def _of(broadcast: BroadcastRow) -> ColumnElement[bool]:
    """Its rows: of one month of the ledger, which has a partition for each."""
    return and_(col(MessageRow.broadcast_id) == broadcast.id, col(MessageRow.month) == month_of(broadcast.created_at))


def _open(broadcast: BroadcastRow) -> ColumnElement[bool]:
    # Literally, as the partial index has it.
    statuses: list[Any] = [literal_column(f"'{status}'") for status in ("deferred", "ready", "sending")]
    return and_(_of(broadcast), col(MessageRow.broadcast_id).is_not(None), col(MessageRow.status).in_(statuses))


async def lock_contacts(session: AsyncSession, ids: Collection[str]) -> Sequence[Row[Any]]:
    """Their fields, in the order of ids. Of two messages to one contact at once, the second one sees the first."""
    query = select_columns(*_CONTACT).where(among(session, col(ContactRow.id), ids)).order_by(col(ContactRow.id))
    return await _execute(session, query.with_for_update(key_share=True))


async def lock_rows(
    session: AsyncSession, broadcast: BroadcastRow, contact_ids: Collection[str]
) -> dict[str, MessageRow]:
    """What the ledger has of them already, by contact."""
    query = (
        select(MessageRow)
        .where(_of(broadcast), among(session, col(MessageRow.contact_id), contact_ids))
        .order_by(col(MessageRow.id))
        .with_for_update()
    )
    rows = await session.exec(query.execution_options(populate_existing=True))
    return {row.contact_id: row for row in rows}


def new_row(broadcast: BroadcastRow, contact_id: str, variant: str | None, **more: Any) -> dict[str, Any]:
    """A row of the ledger by column, for `add_rows`."""
    moment = now()
    return {
        "id": new_id(),
        "month": month_of(broadcast.created_at),
        "flow": FLOW,
        "broadcast_id": broadcast.id,
        "contact_id": contact_id,
        "step": broadcast.message,
        "message": broadcast.message,
        "variant": variant,
        "created_at": moment,
        "updated_at": moment,
        "message_class": None,
        "topic": None,
        "reason": None,
        "subject": None,
        "provider": None,
        "handovers": 0,
        "deferred_until": None,
        "handed_over_at": None,
        "decision": {},
        "attempts": [],
        **more,
    }


async def add_rows(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows that nobody has added meanwhile. Raises: DecidedMeanwhile."""
    if await insert_many(session, MessageRow, rows) < len(rows):
        raise DecidedMeanwhile


async def add_missing(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> int:
    """Those of them of whom nothing is known yet; answer how many."""
    return await insert_many(session, MessageRow, rows)


async def change_rows(session: AsyncSession, changes: Sequence[Mapping[str, Any]]) -> None:
    """By `id`; each has the same columns."""
    if changes:
        await session.exec(update(MessageRow), params=list(changes))


async def settle_post(session: AsyncSession, month: date, verdict: PostVerdict, ids: Sequence[str] | None) -> int:
    """Write down a verdict for its rows, `ids` if they are known; answer how many took it. What is settled stays.

    One that gives messages back (ready) counts only for those that were not handed over again since.
    """
    if ids is None:
        ids = verdict.ids or await _ids_of(session, month, verdict)
    moment = now()
    values: dict[str, Any] = {"status": verdict.status, "reason": verdict.reason, "updated_at": moment}
    if verdict.receipt is not None:
        values |= {"provider_message_id": verdict.receipt.provider_message_id, "sent_at": moment}
    if verdict.status in (MessageStatus.READY, MessageStatus.REJECTED):
        values["handed_over_at"] = None
    attempt = {"outcome": str(verdict.status), "reason": verdict.reason, "provider": verdict.provider}
    noted = {"at": moment.isoformat(), **{name: value for name, value in attempt.items() if value is not None}}
    row = MessageRow
    # The first handover of each: nothing was noted of it before, so that all are written at once.
    settling = (
        update(row)
        .where(
            among(session, col(row.id), ids),
            col(row.month) == month,
            col(row.status) == MessageStatus.SENDING,
            col(row.handed_over_at) == verdict.handed_over_at,
            col(row.handovers) == 1,
        )
        .values(**values, attempts=[noted])
        .execution_options(synchronize_session=False)
    )
    settled = (await session.exec(settling)).rowcount
    if settled < len(ids):
        settled += await _settle_each(session, month, verdict, ids, moment)
    return settled


async def _settle_each(
    session: AsyncSession, month: date, verdict: PostVerdict, ids: Sequence[str], moment: datetime
) -> int:
    """Those that somebody wrote to meanwhile, or that were handed over before."""
    row = MessageRow
    query = select(row).where(among(session, col(row.id), ids), col(row.month) == month, col(row.updated_at) != moment)
    count = 0
    for found in await session.exec(query.order_by(col(row.id))):
        newest = found.handed_over_at == verdict.handed_over_at
        await ledger.settle(
            session,
            ledger.Verdict(
                message_id=found.id,
                handover=found.handovers if newest else 0,
                **verdict.model_dump(include={"provider", "permission", "status", "reason", "receipt"}),
            ),
        )
        count += 1
    return count


async def _ids_of(session: AsyncSession, month: date, verdict: PostVerdict) -> Sequence[str]:
    query = select(MessageRow.id).where(
        MessageRow.broadcast_id == verdict.broadcast_id,
        MessageRow.month == month,
        col(MessageRow.status).in_((MessageStatus.SENDING, MessageStatus.UNCONFIRMED)),
        MessageRow.handed_over_at == verdict.handed_over_at,
    )
    return (await session.exec(query)).all()


async def members_in_range(session: AsyncSession, broadcast: BroadcastRow, first: int, end: int) -> list[str]:
    """All of the audience from a position to before another, whatever is known of them."""
    member = AudienceMemberRow
    query = select(member.contact_id).where(
        member.audience_id == broadcast.id, member.position >= first, member.position < end
    )
    return list(await session.exec(query.order_by(col(member.contact_id))))


async def skip_open(session: AsyncSession, broadcast: BroadcastRow, reason: str, limit: int) -> int:
    """Skip some of those that are still to go out; answer how many. What a provider may have stays as it is."""
    row = MessageRow
    some = select(row.id).where(_open(broadcast), col(row.status) != MessageStatus.SENDING, _NOT_BY_HAND)
    skipping = (
        update(row)
        .where(col(row.id).in_(some.limit(limit)), col(row.month) == month_of(broadcast.created_at))
        .values(status=MessageStatus.SKIPPED, reason=reason, updated_at=now(), deferred_until=None)
        .execution_options(synchronize_session=False)
    )
    return int((await session.exec(skipping)).rowcount)


async def _execute(session: AsyncSession, statement: Any) -> Sequence[Row[Any]]:
    return (await (await session.connection()).execute(statement)).all()
