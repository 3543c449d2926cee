"""Delivery events: kept in bulk, and turned into the states of messages and into events of contacts.

Whoever tells them tells late, twice, in any order and in several requests at once. So an event is only inserted, and
what follows from it is computed from all that is known of its message by then (`domain.deliveries`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import JsonValue
from sqlalchemy import bindparam, delete, update
from sqlalchemy import select as select_columns
from sqlalchemy.orm.attributes import flag_modified
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.automated_acts import automated
from domain.deliveries import Acts, DeliveryEvent, DeliveryKind, Reached, Sign, Told, reached, who_acted
from domain.flows import FlowType
from domain.messages import REACHED, MessageStatus
from store.among import among
from store.insertion import insert_those_new
from store.ledger import note_attempt
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.locks import lock
from store.responses import Response, keep_acts, keep_leaving
from store.tables import EnrollmentRow, EventRow, now
from store.triggers import enroll_by_triggers

CHUNK = 1000
_ACTS = (DeliveryKind.OPENED, DeliveryKind.CLICKED)
_NOT_SENT = (MessageStatus.SKIPPED, MessageStatus.REJECTED)
"""Decided for good; an event that says otherwise is kept, and changes nothing."""


class Kept(NamedTuple):
    """Of a chunk: the events that were not known before, and what Temporal is to be told of.

    That is: events of contacts, and enrollments that triggers made.
    """

    new: list[DeliveryEvent]
    to_tell: list[EventRow]
    triggered: Sequence[EnrollmentRow] = ()


class _Known(NamedTuple):
    told: list[Told]
    signs: dict[str, Sign]
    """As marked so far."""


def in_chunks(events: Iterable[DeliveryEvent]) -> Iterator[list[DeliveryEvent]]:
    """Each event once, in pieces for a transaction each, so that nobody waits long for what one of them locks."""
    once = {event.id: event for event in events}
    ordered = sorted(once.values(), key=lambda event: (event.message_id or "", event.id))
    for begins in range(0, len(ordered), CHUNK):
        yield ordered[begins : begins + CHUNK]


async def keep_deliveries(
    session: AsyncSession, chunk: Sequence[DeliveryEvent], flows: Mapping[str, FlowType], *, count_automated: bool
) -> Kept:
    """Keep a chunk of `in_chunks`, and all that follows from it, within the caller's transaction.

    `flows` are those of the code, by name: Temporal need not hear what no enrollment of the contact listens for.
    Idempotency: by the events' ids. Any number of these at once, of the same events or of others, come to the same end.
    They wait for each other in no circle: each locks messages first and inserts then, in the order of ids.
    """
    messages = await _lock_messages(session, {event.message_id for event in chunk if event.message_id})
    may_be_new = await _without_known_junk(session, chunk)
    inserted = await insert_those_new(session, DeliveryEventRow, _rows(may_be_new, messages))
    new = [event for event in chunk if event.id in inserted]
    signs = await _bring_forward(session, messages, new, count_automated=count_automated)
    acts, leaving = [], []
    for event in new:
        if event.leaves_by is not None:
            leaving += _response(event, event.leaves_by, messages)
        elif event.kind in _ACTS and event.message_id in messages and (count_automated or event.id not in signs):
            acts += _response(event, event.kind.value, messages)
    acted = await keep_acts(session, acts, flows)
    left = await keep_leaving(session, leaving, flows)
    happened = [*acted.new, *left.new]
    triggered = await enroll_by_triggers(session, flows, {event.contact_id for event in happened}, happened)
    return Kept(new, [*acted.to_tell, *left.to_tell], triggered)


async def _without_known_junk(session: AsyncSession, chunk: Sequence[DeliveryEvent]) -> Sequence[DeliveryEvent]:
    """Junk has no moment of its own: repeated it comes with another, and to PostgreSQL would be another event."""
    junk = [event.id for event in chunk if event.kind is DeliveryKind.JUNK]
    if not junk:
        return chunk
    await lock(session, "delivery-events:junk")
    known = set(await session.exec(select(DeliveryEventRow.id).where(among(session, col(DeliveryEventRow.id), junk))))
    return [event for event in chunk if event.id not in known]


async def _lock_messages(session: AsyncSession, ids: Collection[str]) -> dict[str, MessageRow]:
    query = select(MessageRow).where(among(session, col(MessageRow.id), ids)).order_by(col(MessageRow.id))
    return {row.id: row for row in await session.exec(query.with_for_update())}


def _rows(chunk: Iterable[DeliveryEvent], messages: Mapping[str, MessageRow]) -> list[dict[str, Any]]:
    received_at = now()
    return [
        {
            "id": event.id,
            "provider": event.provider,
            "message_id": event.message_id if event.message_id in messages else None,
            "kind": event.kind,
            "occurred_at": event.occurred_at,
            "received_at": received_at,
            "reason": event.reason,
            "automated": event.sign,
            # Whom others write to through the same account is nobody's business here, and could not be erased.
            "url": event.url if event.message_id in messages else None,
            "raw": event.raw if event.message_id in messages else event.raw_of_nobody,
        }
        for event in sorted(chunk, key=lambda event: event.id)
    ]


async def _bring_forward(
    session: AsyncSession, messages: Mapping[str, MessageRow], new: Sequence[DeliveryEvent], *, count_automated: bool
) -> dict[str, Sign]:
    """Bring messages to where all that is known of them leads; answer what of that machines did, by event."""
    touched = defaultdict[str, list[DeliveryEvent]](list)
    for event in new:
        if event.message_id in messages:
            touched[str(event.message_id)].append(event)
    all_signs: dict[str, Sign] = {}
    marked: dict[Told, Sign] = {}
    for message_id, known in (await _known(session, touched)).items():
        signs = automated(known.told, known.signs)
        row = messages[message_id]
        state = reached(known.told, signs, count_automated=count_automated)
        _settle(row, state, who_acted(known.told, signs), touched[message_id])
        session.add(row)
        all_signs |= signs
        marked |= {
            told: sign
            for told in known.told
            if (sign := signs.get(told.id)) is not None and sign is not known.signs.get(told.id)
        }
    if marked:
        await _mark(session, marked)
    if marked and not count_automated:
        await _take_back(session, marked)
    return all_signs


async def _mark(session: AsyncSession, marked: Mapping[Told, Sign]) -> None:
    row = DeliveryEventRow
    # By the moment too, which tells PostgreSQL the month: by the id alone it would look into all of them.
    marking = update(row).where(col(row.id) == bindparam("event"), col(row.occurred_at) == bindparam("at"))
    params = [{"event": told.id, "at": told.occurred_at, "sign": sign} for told, sign in marked.items()]
    await (await session.connection()).execute(marking.values(automated=bindparam("sign")), params)


async def _known(session: AsyncSession, message_ids: Collection[str]) -> dict[str, _Known]:
    row = DeliveryEventRow
    # By column: rows have the raw event too, which is long and decides nothing.
    query = select_columns(
        col(row.message_id),
        col(row.id),
        col(row.kind),
        col(row.occurred_at),
        col(row.url),
        col(row.reason),
        col(row.automated),
    ).where(among(session, col(row.message_id), message_ids))
    known = defaultdict[str, _Known](lambda: _Known([], {}))
    for message_id, event_id, kind, occurred_at, url, reason, sign in await (await session.connection()).execute(query):
        of_message = known[str(message_id)]
        of_message.told.append(Told(event_id, DeliveryKind(kind), occurred_at, url, reason))
        if sign is not None:
            of_message.signs[event_id] = Sign(sign)
    return known


def _settle(row: MessageRow, state: Reached, done: Acts, new: Sequence[DeliveryEvent]) -> None:
    if row.status in _NOT_SENT:
        return
    receipts = (event.provider_message_id for event in new if event.provider_message_id)
    after = {
        "status": state.status,
        "reason": state.reason,
        "sent_at": min(row.sent_at or state.since, state.since),
        "handed_over_at": min(row.handed_over_at or state.since, state.since),
        "provider_message_id": row.provider_message_id or next(receipts, None),
        **done._asdict(),
    }
    if row.status not in REACHED:
        # It was to go out yet, was under way or in doubt: the provider has it, and must not get it again.
        row.provider = new[0].provider
        note_attempt(row, str(MessageStatus.SENT), by="webhook", provider=row.provider)
    elif all(getattr(row, name) == value for name, value in after.items()):
        return
    row.sqlmodel_update(after, update={"updated_at": now()})
    for name in ("provider", "attempts", *after):
        # Rows with the same columns are written at once; else each would be a statement of its own.
        flag_modified(row, name)


async def _take_back(session: AsyncSession, automated: Collection[Told]) -> None:
    """What a machine did no contact did. A flow that was told of it meanwhile has gone on, and is told of nothing."""
    moments = [told.occurred_at for told in automated]
    of_these = among(session, col(EventRow.id), [told.id for told in automated])
    await session.exec(delete(EventRow).where(of_these, col(EventRow.occurred_at).between(min(moments), max(moments))))


def _response(event: DeliveryEvent, name: str, messages: Mapping[str, MessageRow]) -> list[Response]:
    """The event of a contact that this one amounts to; none if the message was to somebody of the team about them."""
    row = messages.get(event.message_id or "")
    if row is None:
        return [Response(event.id, name, event.occurred_at, None, event.address, {})]
    if row.person_id is not None:
        return []
    told = {
        "message_id": row.id,
        "flow": row.flow,
        "step": row.step,
        "broadcast_id": row.broadcast_id,
        "url": event.url,
        "reason": event.reason,
    }
    properties: dict[str, JsonValue] = {key: value for key, value in told.items() if value is not None}
    return [Response(event.id, name, event.occurred_at, row.contact_id, None, properties)]
