"""How contacts respond to messages: what they open and click, and that they leave. It becomes events of theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import JsonValue
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.events import NO_ACTS, concerns
from domain.flows import FlowType
from domain.suppressions import SuppressionReason
from store.among import among
from store.crm import note_lifted_sunset
from store.events import record_told_event
from store.insertion import insert_those_new
from store.suppressions import email_hashes, unsuppress
from store.tables import ContactRow, EnrollmentRow, EventRow, SuppressionRow, now
from store.triggers import Happened


class Response(NamedTuple):
    """An event of a contact, named by id or, if no message of ours tells who they are, by address."""

    event_id: str
    name: str
    occurred_at: datetime
    contact_id: str | None
    address: str | None
    properties: dict[str, JsonValue]


class Heard(NamedTuple):
    """Events that were not known before, and those of them that an enrollment listens for."""

    new: list[Happened]
    to_tell: list[EventRow]


class _Listeners:
    """Which flows some contacts are in, with the settings of their enrollments."""

    def __init__(self, flows: Mapping[str, FlowType]) -> None:
        self._flows = flows
        self._active = defaultdict[str, list[tuple[str, Mapping[str, JsonValue]]]](list)

    async def find(self, session: AsyncSession, contact_ids: Collection[str]) -> None:
        query = select(EnrollmentRow.contact_id, EnrollmentRow.flow, EnrollmentRow.settings)
        query = query.where(
            EnrollmentRow.status == "active", among(session, col(EnrollmentRow.contact_id), contact_ids)
        )
        for contact_id, flow, settings in await session.exec(query):
            self._active[contact_id].append((flow, settings))

    def told_at(self, contact_id: str, event: str) -> datetime | None:
        """None if Temporal is yet to be told of the event. If nobody listens there is nothing to tell, now or later."""
        heard = any(
            flow in self._flows and concerns(self._flows[flow], event, settings)
            for flow, settings in self._active[contact_id]
        )
        return None if heard else now()


async def keep_acts(session: AsyncSession, acts: Sequence[Response], flows: Mapping[str, FlowType]) -> Heard:
    """Keep what contacts, named by id, did; they are sunset no more, as `record_event` does it one by one.

    `flows` are those of the code, by name.
    """
    if not acts:
        return Heard([], [])
    listeners = _Listeners(flows)
    await listeners.find(session, {str(act.contact_id) for act in acts})
    received_at = now()
    rows: list[dict[str, Any]] = [
        {
            "id": act.event_id,
            "contact_id": act.contact_id,
            "name": act.name,
            "occurred_at": act.occurred_at,
            "properties": act.properties,
            "received_at": received_at,
            "delivered_at": listeners.told_at(str(act.contact_id), act.name),
        }
        for act in sorted(acts, key=lambda act: act.event_id)
    ]
    new = await insert_those_new(session, EventRow, rows)
    await _lift_sunsets(session, [act for act in acts if act.event_id in new and act.name not in NO_ACTS])
    kept = [row for row in rows if row["id"] in new]
    return Heard(
        [Happened(row["id"], row["contact_id"], row["name"], row["occurred_at"]) for row in kept],
        [EventRow(**row) for row in kept if row["delivered_at"] is None],
    )


async def keep_leaving(session: AsyncSession, leaving: Sequence[Response], flows: Mapping[str, FlowType]) -> Heard:
    """Keep that contacts leave, and suppress their addresses; of an address that is no contact's nothing is kept.

    `flows` are as in `keep_acts`.
    """
    if not leaving:
        return Heard([], [])
    contacts = await _contacts(session, leaving)
    listeners = _Listeners(flows)
    await listeners.find(session, {contact.id for contact in contacts.values()})
    found = [
        (contact, each)
        for each in leaving
        if (contact := contacts.get(each.contact_id or each.address or "")) is not None
    ]
    new = []
    # By contact: two transactions at once wait for each other's suppressions in no circle.
    for contact, each in sorted(found, key=lambda pair: (pair[0].id, pair[1].event_id)):
        event = EventRow(
            id=each.event_id,
            contact_id=contact.id,
            name=each.name,
            occurred_at=each.occurred_at,
            properties=each.properties,
            delivered_at=listeners.told_at(contact.id, each.name),
        )
        if await record_told_event(session, contact, event):
            new.append(event)
    return Heard([Happened.of(event) for event in new], [event for event in new if event.delivered_at is None])


async def _contacts(session: AsyncSession, responses: Sequence[Response]) -> dict[str, ContactRow]:
    """By id, and by address."""
    ids = {each.contact_id for each in responses if each.contact_id}
    addresses = {each.address for each in responses if each.address}
    found = [*await session.exec(select(ContactRow).where(among(session, col(ContactRow.id), ids)))] if ids else []
    if addresses:
        found += await session.exec(select(ContactRow).where(among(session, col(ContactRow.email), addresses)))
    return {contact.id: contact for contact in found} | {contact.email: contact for contact in found}


async def _lift_sunsets(session: AsyncSession, acts: Sequence[Response]) -> None:
    latest: dict[str, datetime] = {}
    for act in acts:
        contact_id = str(act.contact_id)
        latest[contact_id] = max(act.occurred_at, latest.get(contact_id, act.occurred_at))
    if not latest:
        return
    query = select(ContactRow.id, ContactRow.email).where(among(session, col(ContactRow.id), latest))
    emails = dict(list(await session.exec(query)))
    hashes = {hashed: contact_id for contact_id, email in emails.items() for hashed in email_hashes(session, email)}
    sunset = select(SuppressionRow.email_hash).where(
        among(session, col(SuppressionRow.email_hash), hashes), SuppressionRow.reason == SuppressionReason.SUNSET
    )
    for contact_id in sorted({hashes[hashed] for hashed in await session.exec(sunset)}):
        if await unsuppress(session, emails[contact_id], SuppressionReason.SUNSET, before=latest[contact_id]):
            await note_lifted_sunset(session, contact_id)
