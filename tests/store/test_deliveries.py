"""Delivery events: told late, twice, in any order and at once, they come to the same end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from domain.circuit import Send
from domain.contacts import ContactProfile
from domain.deliveries import DeliveryKind, Sign
from domain.flows import FlowType
from domain.messages import MessageStatus, Receipt
from domain.suppressions import SuppressionReason
from integrations.sendgrid.events import read_events
from store.contacts import upsert_contact
from store.database import Database
from store.deliveries import CHUNK, Kept, in_chunks, keep_deliveries
from store.enrollments import enroll
from store.ledger import Verdict, settle
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.suppressions import suppress, suppressions_of
from store.tables import ContactRow, EnrollmentRow, EventRow, new_id, now
from tests.integrations.sendgrid_webhook import webhook_event
from workflows.nurturing import Nurturing

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FLOWS: Mapping[str, FlowType] = {"nurturing": Nurturing.about}
ACTS = ("opened", "clicked")
OPEN = ("ready", "deferred", "sending", "unconfirmed")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
async def enrollment(database: Database, ada: ContactRow) -> EnrollmentRow:
    async with database.write() as session:
        return await enroll(session, flow="nurturing", contact_id=ada.id, settings={}, reenroll_after=timedelta(0))


@pytest.fixture
async def message(database: Database, enrollment: EnrollmentRow) -> MessageRow:
    return await sent(database, enrollment)


async def sent(
    database: Database, enrollment: EnrollmentRow, status: MessageStatus = MessageStatus.SENT, **more: Any
) -> MessageRow:
    row = MessageRow(
        flow=enrollment.flow,
        enrollment_id=enrollment.id,
        contact_id=enrollment.contact_id,
        step=new_id(),
        status=status,
        **more,
    )
    async with database.write() as session:
        session.add(row)
    return row


async def tell(database: Database, *told: dict[str, Any], count_automated: bool = False) -> Kept:
    """As one request that has these events."""
    whole = Kept([], [])
    for chunk in in_chunks(read_events(json.dumps(told).encode(), now())):
        async with database.write() as session:
            kept = await keep_deliveries(session, chunk, FLOWS, count_automated=count_automated)
        whole = Kept(whole.new + kept.new, whole.to_tell + kept.to_tell)
    return whole


async def stored(database: Database, message: MessageRow) -> MessageRow:
    async with database.read() as session:
        return await session.get_one(MessageRow, message.id)


async def deliveries(database: Database) -> list[DeliveryEventRow]:
    async with database.read() as session:
        return list(await session.exec(select(DeliveryEventRow)))


async def events(database: Database) -> list[EventRow]:
    async with database.read() as session:
        return list(await session.exec(select(EventRow)))


async def suppressed(database: Database, contact: ContactRow) -> set[str]:
    async with database.read() as session:
        return set(await suppressions_of(session, contact.email))


def kinds(rows: Iterable[DeliveryEventRow]) -> list[str]:
    return sorted(row.kind for row in rows)


async def test_an_event_settles_that_the_provider_has_a_message(database: Database, enrollment: EnrollmentRow) -> None:
    rows = [await sent(database, enrollment, MessageStatus(status), reason="no answer in time") for status in OPEN]
    for row in rows:
        await tell(database, webhook_event("deferred", row.id, at(9)), webhook_event("processed", row.id, at(2)))
    for row in rows:
        settled = await stored(database, row)
        assert (settled.status, settled.reason, settled.provider) == ("sent", None, "sendgrid")
        assert settled.sent_at == settled.handed_over_at == at(2)
        assert settled.provider_message_id == "14c5d75ce93"
        (attempt,) = settled.attempts
        assert (attempt["outcome"], attempt["by"]) == ("sent", "webhook")
    await tell(database, webhook_event("delivered", rows[0].id, at(10)))
    assert len((await stored(database, rows[0])).attempts) == 1


async def test_what_the_ledger_knows_of_the_handover_stays(database: Database, enrollment: EnrollmentRow) -> None:
    row = await sent(database, enrollment, sent_at=at(0), handed_over_at=at(-1), provider_message_id="x-1")
    await tell(database, webhook_event("delivered", row.id, at(5)))
    settled = await stored(database, row)
    assert (settled.status, settled.sent_at, settled.handed_over_at) == ("delivered", at(0), at(-1))
    assert (settled.provider_message_id, settled.attempts) == ("x-1", [])


async def test_what_was_decided_for_good_stays_and_the_event_is_kept(
    database: Database, enrollment: EnrollmentRow
) -> None:
    for status in (MessageStatus.SKIPPED, MessageStatus.REJECTED):
        row = await sent(database, enrollment, status, reason="no consent")
        await tell(database, webhook_event("delivered", row.id, at(0)))
        settled = await stored(database, row)
        assert (settled.status, settled.reason, settled.sent_at) == (status, "no consent", None)
        assert row.id in [event.message_id for event in await deliveries(database)]


async def test_a_receipt_that_comes_after_the_events_takes_nothing_back(
    database: Database, enrollment: EnrollmentRow
) -> None:
    row = await sent(database, enrollment, MessageStatus.SENDING, handovers=1)
    await tell(database, webhook_event("delivered", row.id, at(0)))
    receipt = Receipt(provider="sendgrid", provider_message_id="14c5d75ce93")
    verdict = Verdict(
        message_id=row.id,
        handover=1,
        provider="sendgrid",
        permission=Send(0),
        status=MessageStatus.SENT,
        receipt=receipt,
    )
    async with database.write() as session:
        await settle(session, verdict)
    assert (await stored(database, row)).status == "delivered"


async def test_state_moves_forward_only_and_repetitions_are_nothing_new(
    database: Database, message: MessageRow
) -> None:
    story = [webhook_event(name, message.id, at(60 * n)) for n, name in enumerate(("delivered", "open", "click"))]
    for told, status in ((story[2], "clicked"), (story[0], "clicked"), (story[1], "clicked")):
        assert len((await tell(database, told, told)).new) == 1
        assert (await stored(database, message)).status == status
    assert (await tell(database, *story)).new == []
    assert kinds(await deliveries(database)) == ["clicked", "delivered", "opened"]
    assert sorted(event.name for event in await events(database)) == ["clicked", "opened"]
    await tell(database, webhook_event("spamreport", message.id, at(0)))
    assert (await stored(database, message)).status == "complained"


async def test_a_click_is_an_event_of_the_contact_that_is_told_to_who_listens(
    database: Database, ada: ContactRow, message: MessageRow
) -> None:
    kept = await tell(
        database,
        webhook_event("click", message.id, at(60), sg_event_id="c-1", url="https://example.com/a"),
        webhook_event("open", message.id, at(50), sg_event_id="o-1"),
    )
    assert [(event.id, event.name) for event in kept.to_tell] == [("sendgrid:c-1", "clicked")]
    clicked, opened = sorted(await events(database), key=lambda event: event.name)
    assert (clicked.contact_id, clicked.occurred_at, clicked.delivered_at) == (ada.id, at(60), None)
    assert clicked.properties == {
        "message_id": message.id,
        "flow": "nurturing",
        "step": message.step,
        "url": "https://example.com/a",
    }
    assert opened.delivered_at is not None, "no flow listens for opens, and the sweep need not look"


async def test_a_machines_click_is_kept_and_marked_and_no_event_of_the_contact(
    database: Database, message: MessageRow
) -> None:
    scanner = webhook_event("click", message.id, at(60), useragent="Barracuda Sentinel (EE)")
    kept = await tell(database, webhook_event("delivered", message.id, at(0)), scanner)
    assert (len(kept.new), kept.to_tell, await events(database)) == (2, [], [])
    assert (await stored(database, message)).status == "delivered"
    assert {row.kind: row.automated for row in await deliveries(database)} == {
        "clicked": Sign.AGENT,
        "delivered": None,
    }


async def test_machines_count_where_that_is_set(database: Database, message: MessageRow) -> None:
    scanner = webhook_event("click", message.id, at(60), useragent="Barracuda Sentinel (EE)")
    kept = await tell(database, scanner, count_automated=True)
    assert [event.name for event in kept.to_tell] == ["clicked"]
    assert (await stored(database, message)).status == "clicked"
    await tell(database, webhook_event("delivered", message.id, at(60)), count_automated=True)
    assert len(await events(database)) == 1
    assert [row.automated for row in await deliveries(database) if row.kind == "clicked"] == ["agent"]


async def test_a_later_proof_that_a_machine_clicked_takes_the_click_back(
    database: Database, message: MessageRow
) -> None:
    await tell(database, webhook_event("click", message.id, at(3)), webhook_event("click", message.id, at(300)))
    assert len(await events(database)) == 2
    await tell(database, webhook_event("delivered", message.id, at(0)))
    assert [event.occurred_at for event in await events(database)] == [at(300)]
    assert (await stored(database, message)).status == "clicked"
    for number, url in enumerate(("/b", "/c")):
        await tell(database, webhook_event("click", message.id, at(301 + number), url=url))
    assert await events(database) == []
    assert (await stored(database, message)).status == "delivered"
    signs = {row.occurred_at: row.automated for row in await deliveries(database)}
    assert signs == {
        at(0): None,
        at(3): "too_fast",
        at(300): "many_links",
        at(301): "many_links",
        at(302): "many_links",
    }


@dataclass(frozen=True)
class Case:
    name: str
    more: dict[str, str]
    status: str
    event: str | None = None
    suppressed: frozenset[str] = frozenset()


CASES = (
    Case("bounce", {"status": "5.1.1"}, "bounced", "bounced", frozenset({"hard_bounce"})),
    Case("spamreport", {}, "complained", "complained", frozenset({"complaint"})),
    Case("unsubscribe", {}, "sent", "unsubscribed", frozenset({"unsubscribed"})),
    Case("dropped", {"reason": "Bounced Address"}, "dropped", "bounced", frozenset({"hard_bounce"})),
    Case("dropped", {"reason": "Spam Reporting Address"}, "dropped", "complained", frozenset({"complaint"})),
    Case("dropped", {"reason": "Spam Content"}, "dropped"),
    Case("bounce", {"type": "blocked", "status": "5.7.1"}, "bounced"),
    Case("group_resubscribe", {}, "sent"),
)


async def test_who_leaves_is_suppressed_and_their_flows_are_told_and_who_only_missed_a_message_is_not(
    database: Database,
) -> None:
    for number, case in enumerate(CASES):
        async with database.write() as session:
            profile = ContactProfile(email=f"ada-{number}@example.com")
            contact = (await upsert_contact(session, profile, {}, "test")).contact
            enrollment = await enroll(
                session, flow="nurturing", contact_id=contact.id, settings={}, reenroll_after=timedelta(0)
            )
        message = await sent(database, enrollment)
        kept = await tell(database, webhook_event(case.name, message.id, at(0), **case.more))
        assert [(told.name, told.contact_id) for told in kept.to_tell] == (
            [] if case.event is None else [(case.event, contact.id)]
        ), case
        assert await suppressed(database, contact) == case.suppressed, case
        assert (await stored(database, message)).status == case.status, case


async def test_what_happens_to_mail_for_the_team_is_not_the_contacts(
    database: Database, ada: ContactRow, enrollment: EnrollmentRow
) -> None:
    row = await sent(database, enrollment, person_id=new_id())
    kept = await tell(
        database, *(webhook_event(name, row.id, at(60 * n)) for n, name in enumerate(("open", "click", "bounce")))
    )
    assert (len(kept.new), kept.to_tell, await events(database)) == (3, [], [])
    assert await suppressed(database, ada) == set()
    assert (await stored(database, row)).status == "bounced"


async def test_without_a_message_of_ours_the_address_tells_who_leaves(
    database: Database, ada: ContactRow, enrollment: EnrollmentRow
) -> None:
    elsewhere = "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"
    kept = await tell(
        database,
        webhook_event("bounce", None, at(0), email="Ada@Example.com"),
        webhook_event("spamreport", elsewhere, at(0)),
        webhook_event("spamreport", None, at(0), email="stranger@example.com"),
        webhook_event("click", elsewhere, at(0)),
    )
    assert sorted((event.name, event.contact_id) for event in kept.to_tell) == [
        ("bounced", ada.id),
        ("complained", ada.id),
    ]
    assert await suppressed(database, ada) == {"hard_bounce", "complaint"}
    rows = await deliveries(database)
    assert kinds(rows) == ["bounced", "clicked", "complained", "complained"]
    assert {row.message_id for row in rows} == {None}
    assert "example.com" not in json.dumps([(row.raw, row.url) for row in rows])


async def test_the_raw_event_is_kept_and_so_are_junk_and_unknown_types(database: Database, message: MessageRow) -> None:
    event = webhook_event("delivered", message.id, at(0), response="250 OK")
    await tell(database, event, webhook_event("group_hug", message.id, at(1)), {"junk": 1})
    await tell(database, {"junk": 1})
    rows = {row.kind: row for row in await deliveries(database)}
    assert rows.keys() == {DeliveryKind.DELIVERED, DeliveryKind.UNKNOWN, DeliveryKind.JUNK}
    assert rows[DeliveryKind.DELIVERED].raw == event
    assert rows[DeliveryKind.UNKNOWN].message_id == message.id
    assert rows[DeliveryKind.JUNK].raw == {"junk": 1}


async def test_a_persons_click_after_a_sunset_lifts_it(
    database: Database, ada: ContactRow, message: MessageRow
) -> None:
    async with database.write() as session:
        await suppress(session, ada.email, SuppressionReason.SUNSET, "test")
    later = now() + timedelta(minutes=1)
    await tell(database, webhook_event("click", message.id, later, useragent="Mimecast"))
    await tell(database, webhook_event("click", message.id, at(0)), webhook_event("open", message.id, later))
    assert await suppressed(database, ada) == {"sunset"}
    await tell(database, webhook_event("click", message.id, later))
    assert await suppressed(database, ada) == set()


async def test_a_request_of_thousands_is_kept_in_several_transactions(database: Database, message: MessageRow) -> None:
    told = [webhook_event("processed", message.id, at(number)) for number in range(CHUNK + 1)]
    assert [len(chunk) for chunk in in_chunks(read_events(json.dumps(told).encode(), NOON))] == [CHUNK, 1]
    assert len((await tell(database, *told)).new) == CHUNK + 1
    assert (await stored(database, message)).status == "sent"


async def test_the_same_events_told_at_once_in_opposite_orders_wait_in_no_circle(
    database: Database, enrollment: EnrollmentRow
) -> None:
    rows = [await sent(database, enrollment) for _ in range(6)]
    story = [webhook_event(name, row.id, at(60)) for row in rows for name in ("bounce", "processed", "click", "open")]
    story += [webhook_event("bounce", None, at(60)) for _ in range(6)]
    kept = await asyncio.gather(*(tell(database, *(story if turn % 2 else story[::-1])) for turn in range(8)))
    assert sum(len(each.new) for each in kept) == len(story)
    assert [(await stored(database, row)).status for row in rows] == ["bounced"] * 6
    assert sum(event.name in ACTS for event in await events(database)) == 12


async def test_events_of_one_message_that_are_told_at_once_know_of_each_other(
    database: Database, enrollment: EnrollmentRow
) -> None:
    rows = [await sent(database, enrollment) for _ in range(8)]
    moments = (("delivered", 0), ("click", 3), ("open", 60))
    await asyncio.gather(
        *(tell(database, webhook_event(name, row.id, at(second))) for row in rows for name, second in moments)
    )
    assert [(await stored(database, row)).status for row in rows] == ["opened"] * len(rows)
    assert {row.kind: row.automated for row in await deliveries(database)} == {
        "delivered": None,
        "clicked": "too_fast",
        "opened": None,
    }
    assert {event.name for event in await events(database)} == {"opened"}
