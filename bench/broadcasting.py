"""A broadcast to 20,000, beside a loop that posts the same prepared bytes.

A local provider answers each request of up to 1,000 messages after 0.2 s; `*_instant`: at once. The loop posts a body
that was made before, one request after another, and does nothing else. Ours has two batches in flight, and counts from
the request that asks for the broadcast until it is finished: its workflow, whom it is for, the decision on each
contact's consent, suppressions, hours and frequency, the ledger before and after each request, rendering and values.
"""

from __future__ import annotations

import json
import time
from itertools import count

import httpx
from sqlalchemy import text

from bench.bare import MESSAGE
from bench.http_load import ask_all, post
from bench.measuring import Results, alternating, ratio
from bench.stage import Stage, stage, until
from domain.broadcasts import BroadcastStatus
from domain.message_batches import Letter, MessageBatch
from integrations.sendgrid.batch import MAX_LETTERS, batch_body
from store.list_tables import BroadcastRow
from store.tables import new_id

RECIPIENTS = 20_000
LATENCY = 0.2
TOPIC = "product-news"
_numbers = count()

_CONTACTS = """
    INSERT INTO contacts (id, email, first_name, last_name, locale, country, attributes, score, created_at, updated_at)
    SELECT lpad(n::text, 36, '0'), 'c' || n || '@example.com', 'Ada', 'Lovelace', (ARRAY['es', 'en'])[1 + n % 2], 'CL',
        '{}', 0, now(), now()
    FROM generate_series(1, :many) AS n"""
_CONSENTS = """
    INSERT INTO consents (id, contact_id, topic, state, source, recorded_by, recorded_at)
    SELECT id, id, :topic, 'granted', 'api', 'bench', now() FROM contacts"""


async def measure() -> Results:
    results: Results = {}
    for suffix, latency in (("", LATENCY), ("_instant", 0.0)):
        async with stage(latency=latency) as on:
            api = await on.api()
            await on.worker()
            segment_id = await fill(on, api)
            ours, raw = await alternating(lambda: by_broadcast(on, api, segment_id), lambda: by_posts(on))  # noqa: B023
        results[f"broadcast_vs_raw_post{suffix}"] = ratio(ours, raw)
        results[f"broadcast_messages_per_minute{suffix}"] = 60 * sorted(ours)[len(ours) // 2]
    return results


async def fill(on: Stage, api: str) -> str:
    """Contacts who agree, and the id of the segment that has all of them."""
    async with on.database.write() as session:
        await session.execute(text(_CONTACTS), {"many": RECIPIENTS})
        await session.execute(text(_CONSENTS), {"topic": TOPIC})
    segment = {"name": "all", "predicate": {"kind": "consent", "topic": TOPIC, "state": "granted"}}
    (made,) = await ask_all(api, [post("/v1/segments", json.dumps(segment).encode())], 1)
    return str(json.loads(made.body)["id"])


async def by_broadcast(on: Stage, api: str, segment_id: str) -> float:
    """Messages a second."""
    order = {"name": f"turn {next(_numbers)}", "message": "product-update", "source": {"segment_id": segment_id}}
    began = time.perf_counter()
    (asked,) = await ask_all(api, [post("/v1/broadcasts", json.dumps(order).encode())], 1)
    broadcast_id = json.loads(asked.body)["id"]

    async def is_finished() -> bool:
        async with on.database.read() as session:
            return (await session.get_one(BroadcastRow, broadcast_id)).status == BroadcastStatus.FINISHED

    await until(is_finished)
    rate = RECIPIENTS / (time.perf_counter() - began)
    async with on.database.read() as session:
        sent = "SELECT count(*) FROM messages WHERE broadcast_id = :id AND status = 'sent'"
        assert (await session.execute(text(sent), {"id": broadcast_id})).scalar_one() == RECIPIENTS
    return rate


async def by_posts(on: Stage) -> float:
    """Messages a second."""
    body = prepared()
    async with httpx.AsyncClient(base_url=on.provider_url, timeout=30) as client:
        began = time.perf_counter()
        for _ in range(RECIPIENTS // MAX_LETTERS):
            await client.post("/v3/mail/send", content=body, headers={"Content-Type": "application/json"})
        return RECIPIENTS / (time.perf_counter() - began)


def prepared() -> bytes:
    """As many letters as a request has, each with values as long as those of the broadcast."""
    letters = [
        Letter(
            id=new_id(),
            to_email=f"c{number}@example.com",
            to_name="Ada Lovelace",
            subject="Shared calendars are here",
            unsubscribe_url=f"https://example.com/unsubscribe/{new_id()}.{'x' * 43}",
            values={"{{name}}": "Ada", "{{unsubscribe}}": f"https://example.com/unsubscribe/{new_id()}.{'x' * 43}"},
        )
        for number in range(MAX_LETTERS)
    ]
    return batch_body(MessageBatch("broadcast", "turn", MESSAGE.sender, MESSAGE.html, MESSAGE.text, letters))
