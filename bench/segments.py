"""Counting segments of a million contacts with ten million events, beside SQL that was written by hand for each.

On PostgreSQL, warm. `segment_vs_raw_sql` is the worst of the three ratios that stand beside it; 1.0 is as fast.

"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from bench.measuring import Results, alternating, ratio
from bench.stage import Stage, stage
from domain.segments import Segment
from store.segment_sql import size
from store.tables import now

CONTACTS, EVENTS = 1_000_000, 10_000_000

SEGMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "clicked_often": (
        {"kind": "event", "name": "clicked", "at_least": 3, "within": "P7D"},
        "SELECT count(*) FROM (SELECT contact_id FROM events WHERE name = 'clicked' AND occurred_at >= :week"
        " AND occurred_at <= :at GROUP BY contact_id HAVING count(*) >= 3) AS found",
    ),
    "silent": (
        {"kind": "event", "exactly": 0, "within": "P90D"},
        "SELECT count(*) FROM contacts WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.contact_id = contacts.id"
        " AND occurred_at >= :quarter AND occurred_at <= :at)",
    ),
    "chileans_who_bought": (
        {
            "kind": "all",
            "of": [
                {"kind": "contact", "field": "country", "is": "CL"},
                {"kind": "event", "name": "bought", "within": "P90D"},
                {"kind": "not", "of": {"kind": "event", "name": "returned", "within": "P90D"}},
            ],
        },
        "SELECT count(*) FROM contacts WHERE country = 'CL' AND id IN"
        " (SELECT contact_id FROM events WHERE name = 'bought' AND occurred_at >= :quarter AND occurred_at <= :at)"
        " AND NOT EXISTS (SELECT 1 FROM events WHERE events.contact_id = contacts.id AND name = 'returned'"
        " AND occurred_at >= :quarter AND occurred_at <= :at)",
    ),
}

_CONTACTS = """
    INSERT INTO contacts (id, email, first_name, last_name, locale, country, attributes, created_at, updated_at)
    SELECT lpad(n::text, 36, '0'), 'c' || n || '@example.com', 'Ada', 'Lovelace', 'es',
        (ARRAY['CL', 'AR', 'MX', 'ES'])[1 + n % 4], '{}', now() - interval '400 days', now()
    FROM generate_series(1, :many) AS n"""
_EVENTS = """
    INSERT INTO events (id, contact_id, name, occurred_at, properties, received_at, delivered_at)
    SELECT 'e' || n, lpad((1 + (n * 7919) % :contacts)::text, 36, '0'),
        (ARRAY['opened', 'clicked', 'visited', 'visited', 'seen', 'seen', 'opened', 'opened', 'bought', 'returned'])
            [1 + n % 10], at, '{}', at, at
    FROM generate_series(CAST(:first AS bigint), :last) AS n, LATERAL (
        SELECT now() - make_interval(secs => power((n * 104729 % 1000003) / 1000003.0, 2) * 31536000) AS at
    ) AS moments"""


async def measure() -> Results:
    async with stage() as on:
        await fill(on)
        results: Results = {}
        for name, (predicate, sql) in SEGMENTS.items():
            segment = Segment.model_validate(predicate)
            at = now()
            ours, raw = await alternating(counting(on, segment, at), counting_by_hand(on, sql, at))
            results[f"segment_vs_raw_sql_{name}"] = ratio(ours, raw)
            results[f"segment_ms_{name}"] = 1000 * sorted(ours)[len(ours) // 2]
        results["segment_vs_raw_sql"] = max(results[f"segment_vs_raw_sql_{name}"] for name in SEGMENTS)
        return results


async def fill(on: Stage) -> None:
    async with on.database.write() as session:
        await session.execute(text(_CONTACTS), {"many": CONTACTS})
    for first in range(0, EVENTS, EVENTS // 10):
        async with on.database.write() as session:
            parameters = {"first": first + 1, "last": first + EVENTS // 10, "contacts": CONTACTS}
            await session.execute(text(_EVENTS), parameters)
    async with on.database._engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.exec_driver_sql("VACUUM ANALYZE")


def counting(on: Stage, segment: Segment, at: datetime) -> Callable[[], Awaitable[float]]:
    """Seconds of `GET /v1/segments/{id}/count`, but for HTTP."""

    async def count() -> float:
        began = time.perf_counter()
        async with on.database.read() as session:
            (await session.exec(size(segment, at))).one()
        return time.perf_counter() - began

    return count


def counting_by_hand(on: Stage, sql: str, at: datetime) -> Callable[[], Awaitable[float]]:
    """Seconds."""
    moments = {"at": at, "week": at - timedelta(days=7), "quarter": at - timedelta(days=90)}
    statement = text(sql)
    known = {name: moments[name] for name in statement.compile().params}

    async def count() -> float:
        began = time.perf_counter()
        async with on.database.read() as session:
            (await session.execute(statement, known)).one()
        return time.perf_counter() - began

    return count
