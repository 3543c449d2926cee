"""Triggers: those that flows declare, those that operators added, and whom they enroll when something has happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.flows import FlowType
from domain.triggers import ORIGIN, Trigger, declared_id, enrollment_key, often_enough
from store.among import among
from store.enrollments import AlreadyActive, NotYetAgain, enroll
from store.erasures import BeingErased
from store.list_tables import SegmentRow, TriggerRow
from store.segment_watching import note_entries
from store.tables import ContactRow, EnrollmentRow, EventRow, new_id

_FEW = 50
"""Events of a contact that are read at once with those of others; of one with more, only some next to each."""


class Rule(NamedTuple):
    """A trigger that is in force. `segment_id` is of the segment that it watches, if it does and that is there."""

    id: str
    flow: str
    trigger: Trigger
    segment_id: str | None = None


class Happened(NamedTuple):
    """An event of a contact that was not known before."""

    id: str
    contact_id: str
    name: str
    occurred_at: datetime

    @classmethod
    def of(cls, event: EventRow) -> Happened:
        return cls(event.id, event.contact_id, event.name, event.occurred_at)


class _Due(NamedTuple):
    contact_id: str
    rule: Rule
    cause: str


async def enroll_by_triggers(
    session: AsyncSession, flows: Mapping[str, FlowType], contact_ids: Collection[str], happened: Sequence[Happened]
) -> list[EnrollmentRow]:
    """Enroll whom triggers enroll after these contacts changed or these events of theirs came, within the transaction
    that keeps that.

    The caller has inserted the events, and may have locked contacts; nothing else is locked after it. `flows` are those
    of the code, by name. Who is in the flow, may not enter it again yet, or is being erased is passed by.
    Returns: enrollments that Temporal is to be told of. Idempotency: by the events, each of which is new once, and by
    what is kept of the segments' members.
    """
    rules = await _in_force(session, flows, {event.name for event in happened})
    if not rules:
        return []
    if any(rule.segment_id is not None or rule.trigger.within is not None for rule in rules):
        await _take_turns(session, contact_ids)
    due = [
        *await _due_after(session, rules, happened),
        *await _due_on_entering(session, rules, contact_ids, _latest(happened)),
    ]
    return await _enroll_each(session, flows, due)


async def enroll_entered(
    session: AsyncSession, flows: Mapping[str, FlowType], segment_id: str, contact_ids: Collection[str]
) -> list[EnrollmentRow]:
    """Enroll contacts who have entered a segment, as `enroll_by_triggers` does, after the caller has noted it."""
    rules = [rule for rule in await _in_force(session, flows, ()) if rule.segment_id == segment_id]
    due = [_Due(contact_id, rule, new_id()) for contact_id in contact_ids for rule in rules]
    return await _enroll_each(session, flows, due)


def declared(flows: Mapping[str, FlowType]) -> Iterator[Rule]:
    """The triggers that flows declare."""
    for name, flow in flows.items():
        for trigger in flow.triggers:
            yield Rule(declared_id(name, trigger), name, trigger)


async def watched_segments(session: AsyncSession, flows: Mapping[str, FlowType]) -> set[str]:
    """The ids of the segments that some trigger watches."""
    return {rule.segment_id for rule in await _in_force(session, flows, ()) if rule.segment_id is not None}


async def _in_force(session: AsyncSession, flows: Mapping[str, FlowType], events: Collection[str]) -> list[Rule]:
    """The triggers on these events and on segments."""
    row = TriggerRow
    occasion = or_(col(row.event).in_(events), col(row.segment_id).is_not(None))
    query = select(row.id, row.flow, row.definition, row.segment_id).where(col(row.active), occasion)
    rules = [
        Rule(id_, flow, Trigger.model_validate(definition), segment_id)
        for id_, flow, definition, segment_id in await session.exec(query.order_by(col(row.id)))
        if flow in flows
    ]
    known = [rule for rule in declared(flows) if rule.trigger.segment is not None or rule.trigger.event in events]
    return [*await _with_segments(session, known), *rules]


async def _with_segments(session: AsyncSession, rules: Sequence[Rule]) -> list[Rule]:
    """Declared triggers name segments by name: one that is not there enrolls nobody."""
    names = {rule.trigger.segment for rule in rules if rule.trigger.segment is not None}
    if not names:
        return list(rules)
    ids = dict(list(await session.exec(select(SegmentRow.name, SegmentRow.id).where(col(SegmentRow.name).in_(names)))))
    found = [rule._replace(segment_id=ids.get(rule.trigger.segment or "")) for rule in rules]
    return [rule for rule in found if rule.trigger.event is not None or rule.segment_id is not None]


async def _take_turns(session: AsyncSession, contact_ids: Collection[str]) -> None:
    """Of two transactions that each add something to a contact, the later one has to see both."""
    query = select(ContactRow.id).where(among(session, col(ContactRow.id), contact_ids)).order_by(col(ContactRow.id))
    await session.exec(query.with_for_update(key_share=True))


async def _due_after(session: AsyncSession, rules: Sequence[Rule], happened: Iterable[Happened]) -> list[_Due]:
    """Of a contact's events, the latest comes first: that one begins an enrollment."""
    ordered = sorted(happened, key=lambda event: (event.occurred_at, event.id), reverse=True)
    due = []
    for rule in rules:
        events = [event for event in ordered if event.name == rule.trigger.event]
        inside = await _active(session, rule.flow, {event.contact_id for event in events})
        events = [event for event in events if event.contact_id not in inside]
        if rule.trigger.within is not None and events:
            events = await _often_enough(session, events, rule.trigger.times, rule.trigger.within)
        due += [_Due(event.contact_id, rule, event.id) for event in events]
    return due


async def _active(session: AsyncSession, flow: str, contact_ids: Collection[str]) -> set[str]:
    """Those of some contacts who are in the flow now."""
    row = EnrollmentRow
    query = select(row.contact_id).where(
        row.flow == flow, row.status == "active", among(session, col(row.contact_id), contact_ids)
    )
    return set(await session.exec(query)) if contact_ids else set()


async def _often_enough(
    session: AsyncSession, events: Sequence[Happened], times: int, within: timedelta
) -> list[Happened]:
    """Those of some events of one name that came so often, with others of their contact that are known."""
    row, at = EventRow, [event.occurred_at for event in events]
    around = (
        col(row.name) == events[0].name,
        col(row.occurred_at) >= min(at) - within,
        col(row.occurred_at) <= max(at) + within,
    )
    contacts = {event.contact_id for event in events}
    counted = select(row.contact_id, func.count()).where(among(session, col(row.contact_id), contacts), *around)
    counts = dict(list(await session.exec(counted.group_by(col(row.contact_id)).having(func.count() >= times))))
    few = [contact_id for contact_id, count in counts.items() if count <= _FEW]
    moments = defaultdict[str, list[datetime]](list)
    if few:
        of_few = select(row.contact_id, row.occurred_at).where(among(session, col(row.contact_id), few), *around)
        for contact_id, moment in await session.exec(of_few):
            moments[contact_id].append(moment)
    enough = []
    for event in events:
        if event.contact_id in counts:
            known = moments.get(event.contact_id) or await _next_to(session, event, times, within)
            if often_enough(known, event.occurred_at, times, within):
                enough.append(event)
    return enough


async def _next_to(session: AsyncSession, event: Happened, times: int, within: timedelta) -> list[datetime]:
    """When events of this name happened to the contact just before and after: enough of them to tell."""
    row, at = EventRow, event.occurred_at
    of_contact = select(row.occurred_at).where(row.contact_id == event.contact_id, row.name == event.name)
    before = of_contact.where(row.occurred_at <= at, row.occurred_at >= at - within)
    after = of_contact.where(row.occurred_at > at, row.occurred_at <= at + within)
    return [
        *await session.exec(before.order_by(col(row.occurred_at).desc()).limit(times)),
        *await session.exec(after.order_by(col(row.occurred_at)).limit(times)),
    ]


def _latest(happened: Iterable[Happened]) -> dict[str, str]:
    """The id of each contact's latest event."""
    return {event.contact_id: event.id for event in sorted(happened, key=lambda event: (event.occurred_at, event.id))}


async def _due_on_entering(
    session: AsyncSession, rules: Sequence[Rule], contact_ids: Collection[str], events: Mapping[str, str]
) -> list[_Due]:
    """`events` are ids of the latest event by contact: it is what they entered on, if any came."""
    watching = [rule for rule in rules if rule.segment_id is not None]
    if not watching:
        return []
    entered = await note_entries(session, {str(rule.segment_id) for rule in watching}, contact_ids)
    return [
        _Due(contact_id, rule, events.get(contact_id) or new_id())
        for rule in watching
        for contact_id in entered.get(str(rule.segment_id), ())
    ]


async def _enroll_each(
    session: AsyncSession, flows: Mapping[str, FlowType], due: Iterable[_Due]
) -> list[EnrollmentRow]:
    enrolled: list[EnrollmentRow] = []
    tried: set[tuple[str, str]] = set()
    # By contact: two transactions at once wait for each other's enrollments in no circle.
    for contact_id, rule, cause in sorted(due, key=lambda each: (each.contact_id, each.rule.flow)):
        if (contact_id, rule.id) in tried:
            continue
        tried.add((contact_id, rule.id))
        try:
            row = await enroll(
                session,
                flow=rule.flow,
                contact_id=contact_id,
                settings=rule.trigger.settings,
                reenroll_after=rule.trigger.reenroll_after(flows[rule.flow].reenroll_after),
                idempotency_key=enrollment_key(rule.id, cause),
                origin=ORIGIN,
            )
        except (AlreadyActive, NotYetAgain, BeingErased):
            continue
        enrolled.append(row)
    return enrolled
