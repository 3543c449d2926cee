"""Ten thousand webhook events in mixed order, repeated and among junk, come to what the clean, ordered ones come to."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
from sqlalchemy import delete
from sqlmodel import col, select

from domain.messages import MessageStatus
from runtime.settings import Settings
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.tables import ContactRow, EnrollmentRow, EventRow, SuppressionRow
from tests.api.caller import Caller
from tests.api.databases import on_both_databases
from tests.integrations.sendgrid_webhook import WebhookSigner, webhook_event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CONTACTS = 250
MESSAGES_EACH = 3
EVENTS = 10_000
REQUESTS = 6
SIGNER = WebhookSigner()
BEFORE = (
    *(MessageStatus.SENT, MessageStatus.SENDING, MessageStatus.UNCONFIRMED, MessageStatus.READY),
    *(MessageStatus.DEFERRED, MessageStatus.SKIPPED, MessageStatus.REJECTED),
)


Moment: TypeAlias = tuple[int, str, dict[str, Any]]


class Story(NamedTuple):
    """What is told of one message, by seconds, and what that makes of it, told by a person and not by our code."""

    events: tuple[Moment, ...]
    status: str
    acts: int = 0
    leaves: str | None = None


PROCESSED: Moment = (0, "processed", {})
DELIVERED: Moment = (10, "delivered", {"response": "250 OK"})
OPENED: Moment = (90, "open", {})
CLICKED: Moment = (95, "click", {})
SCANNED: tuple[Moment, ...] = tuple((300 + number, "click", {"url": f"/{number}"}) for number in range(3))
STORIES = (
    Story((PROCESSED,), "sent"),
    Story((PROCESSED, (9, "deferred", {"attempt": "1"}), DELIVERED), "delivered"),
    Story((PROCESSED, DELIVERED, OPENED, (600, "open", {})), "opened", acts=2),
    Story((PROCESSED, DELIVERED, OPENED, CLICKED, (99, "click", {"url": "/b"})), "clicked", acts=3),
    Story((PROCESSED, DELIVERED, (90, "open", {"sg_machine_open": True})), "delivered"),
    Story((PROCESSED, DELIVERED, (90, "open", {"useragent": "Mozilla/5.0"})), "delivered"),
    Story((PROCESSED, DELIVERED, (11, "open", {}), (12, "click", {})), "delivered"),
    Story((PROCESSED, DELIVERED, *SCANNED, (900, "click", {})), "clicked", acts=1),
    Story((PROCESSED, (20, "bounce", {"type": "bounce", "status": "5.1.1"})), "bounced", leaves="hard_bounce"),
    Story((PROCESSED, (20, "bounce", {"type": "blocked"})), "bounced"),
    Story(((0, "dropped", {"reason": "Spam Reporting Address"}),), "dropped", leaves="complaint"),
    Story((PROCESSED, DELIVERED, CLICKED, (700, "spamreport", {})), "complained", acts=1, leaves="complaint"),
    Story((PROCESSED, DELIVERED, (90, "group_unsubscribe", {"asm_group_id": 1})), "delivered", leaves="unsubscribed"),
    Story((PROCESSED, DELIVERED, (90, "group_hug", {}), (91, "amp_open", {})), "delivered"),
)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {"data_dir": tmp_path / "data", "database_url": database_url, "sendgrid_webhook_key": SIGNER.key}
    )


async def _post(api: Caller, *members: Any) -> dict[str, int]:
    body = json.dumps(members).encode()
    answer = await api.http.post("/v1/webhooks/sendgrid", content=body, headers=SIGNER.headers(body))
    assert answer.status_code == 202, answer.text
    counts: dict[str, int] = answer.json()
    return counts


async def _people(api: Caller) -> list[EnrollmentRow]:
    contacts = [ContactRow(email=f"contact-{number}@example.com", locale="en") for number in range(CONTACTS)]
    enrollments = [EnrollmentRow(flow="onboarding", contact_id=contact.id, status="ended") for contact in contacts]
    async with api.services.database.write() as session:
        for rows in (contacts, enrollments):
            session.add_all(rows)
            await session.flush()
    return enrollments


async def _begin(api: Caller, messages: list[MessageRow]) -> None:
    async with api.services.database.write() as session:
        for table in (DeliveryEventRow, EventRow, SuppressionRow, MessageRow):
            await session.exec(delete(table))
        session.add_all([MessageRow(**message.model_dump()) for message in messages])


async def _everything(api: Caller) -> dict[str, list[Any]]:
    """All that the events came to, but for when we heard of them. Junk, which the clean set has not, is left out."""
    message, event, delivery = MessageRow, EventRow, DeliveryEventRow
    known = col(delivery.kind) != "junk"
    queries: dict[str, Any] = {
        "messages": select(message.id, message.status, message.reason, message.provider_message_id),
        "moments": select(message.id, message.sent_at, message.handed_over_at),
        "contacts": select(event.id, event.contact_id, event.name, event.occurred_at),
        "properties": select(event.id, event.properties),
        "suppressions": select(SuppressionRow.email_hash, SuppressionRow.reason),
        "deliveries": select(delivery.id, delivery.message_id, delivery.kind, delivery.automated).where(known),
        "raw": select(delivery.id, delivery.occurred_at, delivery.raw).where(known),
    }
    async with api.services.database.read() as session:
        return {
            name: sorted(map(tuple, await session.exec(query)), key=lambda row: (str(row[0]), str(row[1])))
            for name, query in queries.items()
        }


@on_both_databases
async def test_ten_thousand_mixed_events_come_to_what_clean_ones_come_to(api: Caller) -> None:
    dice = random.Random(1)  # noqa: S311 (a shuffle)
    enrollments = await _people(api)
    messages = [
        MessageRow(
            flow=enrollment.flow,
            enrollment_id=enrollment.id,
            contact_id=enrollment.contact_id,
            step=f"step-{step}",
            status=dice.choice(BEFORE),
            handovers=1,
        )
        for enrollment in enrollments
        for step in range(MESSAGES_EACH)
    ]
    stories = {message.id: dice.choice(STORIES) for message in messages}
    clean = [
        webhook_event(name, message_id, NOON + timedelta(hours=number % 50, seconds=seconds), **more)
        for number, (message_id, story) in enumerate(stories.items())
        for seconds, name, more in story.events
    ]
    clean.sort(key=lambda event: event["timestamp"])
    await _begin(api, messages)
    assert (await _post(api, *clean))["new"] == len(clean)
    expected = await _everything(api)

    junk: list[Any] = [None, 42, "junk", [], {}, {"event": "open"}, {"event": 5, "timestamp": 1}, {"timestamp": "now"}]
    mixed = [*clean, *dice.choices(clean, k=2_000), *dice.choices(junk, k=500)]
    mixed += dice.choices(clean, k=EVENTS - len(mixed))
    dice.shuffle(mixed)
    await _begin(api, messages)
    counts = await asyncio.gather(*(_post(api, *mixed[first::REQUESTS]) for first in range(REQUESTS)))
    assert len(mixed) == EVENTS == sum(each["received"] for each in counts)
    assert sum(each["new"] for each in counts) == len(clean) + len(junk)
    assert sum(each["junk"] for each in counts) == 500
    found = await _everything(api)
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert found[name] == rows, name

    settled = {message.id: message.status for message in messages if message.status in ("skipped", "rejected")}
    assert {row[0]: row[1] for row in found["messages"]} == {
        message_id: settled.get(message_id, story.status) for message_id, story in stories.items()
    }
    names = Counter(row[2] for row in found["contacts"])
    assert names["opened"] + names["clicked"] == sum(story.acts for story in stories.values())
    contact_of = {message.id: message.contact_id for message in messages}
    leaving = {(contact_of[message_id], story.leaves) for message_id, story in stories.items() if story.leaves}
    assert len(found["suppressions"]) == len(leaving)
    assert {row[1] for row in found["suppressions"]} == {"hard_bounce", "complaint", "unsubscribed"}
