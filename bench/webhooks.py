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
from domain.contacts import ContactProfile
from domain.messages import MessageStatus
from store.contacts import upsert_contact
from store.tables import EnrollmentRow, MessageRow, new_id, now
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
    async with on.database.write() as session:
        profile = ContactProfile(email=f"{new_id()}@example.com")
        contact = (await upsert_contact(session, profile, {}, "bench")).contact
        enrollment = EnrollmentRow(flow="onboarding", contact_id=contact.id, status="ended", ended_at=now())
        session.add(enrollment)
        await session.flush()
        messages = [
            MessageRow(
                flow="onboarding",
                enrollment_id=enrollment.id,
                contact_id=contact.id,
                step=f"step-{number}",
                status=MessageStatus.SENT,
                sent_at=sent_at,
            )
            for number in range(EVENTS)
        ]
        session.add_all(messages)
    return [
        webhook_event(NAMES[number % len(NAMES)], message.id, sent_at, sg_event_id=new_id(), email=profile.email)
        for number, message in enumerate(messages)
    ]
