"""Events of the provider's webhook through the HTTP API, beside bare inserts of the same events.

Each event concerns a message of its own, whose state it brings forward; some are clicks, which become events of their
contacts. The bare loop inserts what is kept of each event into the same table, 1,000 in a transaction as SendGrid sends
them, and does nothing else.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Json

from bench.http_load import ask_all, post
from bench.measuring import Results, alternating, ratio
from bench.stage import Stage, stage
from domain.messages import MessageStatus
from store.ledger_tables import MessageRow
from store.tables import ContactRow, EnrollmentRow, new_id, now
from tests.integrations.sendgrid_webhook import webhook_event

EVENTS = 5_000
AT_ONCE = 1_000
NAMES = ("processed", "delivered", "delivered", "open", "click")
_INSERT = (
    "INSERT INTO delivery_events (id, provider, message_id, kind, occurred_at, received_at, raw)"
    " VALUES (%s, 'sendgrid', %s, %s, %s, %s, %s)"
)


async def measure() -> Results:
    async with stage() as on:
        api = await on.api()
        ours, raw = await alternating(lambda: through_the_api(on, api), lambda: by_inserts(on))
    return {"webhook_events_per_s_vs_raw_insert": ratio(ours, raw)}


async def through_the_api(on: Stage, api: str) -> float:
    """Events a second."""
    events = await _events(on)
    requests = [
        post("/v1/webhooks/sendgrid", json.dumps(events[begins : begins + AT_ONCE]).encode())
        for begins in range(0, EVENTS, AT_ONCE)
    ]
    began = time.perf_counter()
    await ask_all(api, requests, 1)
    return EVENTS / (time.perf_counter() - began)


async def by_inserts(on: Stage) -> float:
    """Events a second."""
    events = await _events(on)
    received_at = now()
    rows = [
        (
            f"raw:{event['sg_event_id']}",
            event["cauce_message_id"],
            "delivered",
            datetime.fromtimestamp(event["timestamp"], UTC),
            received_at,
            Json(event),
        )
        for event in events
    ]
    began = time.perf_counter()
    async with await psycopg.AsyncConnection.connect(on.database_url) as connection:
        for begins in range(0, EVENTS, AT_ONCE):
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(_INSERT, rows[begins : begins + AT_ONCE])
    return EVENTS / (time.perf_counter() - began)


async def _events(on: Stage) -> list[dict[str, Any]]:
    """Of messages that were just sent."""
    sent_at = now()
    contacts = [ContactRow(email=f"{new_id()}@example.com", locale="en") for _ in range(EVENTS)]
    enrollments = [
        EnrollmentRow(flow="onboarding", contact_id=contact.id, status="ended", ended_at=sent_at)
        for contact in contacts
    ]
    messages = [
        MessageRow(
            flow="onboarding",
            enrollment_id=enrollment.id,
            contact_id=enrollment.contact_id,
            step="welcome",
            status=MessageStatus.SENT,
            sent_at=sent_at,
        )
        for enrollment in enrollments
    ]
    async with on.database.write() as session:
        for rows in (contacts, enrollments, messages):
            session.add_all(rows)
            await session.flush()
    return [
        webhook_event(NAMES[number % len(NAMES)], message.id, sent_at, sg_event_id=new_id(), email=contact.email)
        for number, (contact, message) in enumerate(zip(contacts, messages, strict=True))
    ]
