"""A database as it is after a year: a flow with as many rows in the ledger as one asks for, and two flows beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from store.database import Database

FLOW = "onboarding"
BUILD = "0123456789ab"
"""Every second contact entered on it."""
_OTHERS = ("nurturing", "reactivation")
_YEAR = timedelta(days=365)
_ACTIVE = 0.1
"""The share of contacts, the latest, who are in the flow."""
_DECISION = (
    '{"ruling": "send", "decided_at": "2026-11-23T09:30:00Z", "message_class": "relationship", "topic": "onboarding",'
    ' "consent": "granted", "suppressions": [], "frequency": [{"rule": "frequency_cap", "limit": 5, "within": "P7D",'
    ' "count": 1, "allows_at": "2026-11-23T09:30:00Z"}]}'
)
_ATTEMPTS = '[{"at": "2026-11-23T09:30:00.123456+00:00", "outcome": "sent", "provider": "sendgrid"}]'


class _Words(NamedTuple):
    """What the two databases call differently. All but `numbers` take numbers and moments as SQL."""

    numbers: str
    padded: str
    moment: str
    day: str
    month: str


_SQLITE = _Words(
    numbers="WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :many)",
    padded="printf('%012d', {})",
    moment="strftime('%Y-%m-%d %H:%M:%f', :begin, '+' || ({}) || ' seconds') || '000'",
    day="date({})",
    month="date({}, 'start of month')",
)
_POSTGRESQL = _Words(
    numbers="WITH numbers AS (SELECT n::bigint FROM generate_series(0, :many - 1) AS n)",
    padded="lpad(({})::text, 12, '0')",
    moment="CAST(:begin AS timestamptz) + make_interval(secs => {})",
    day="({} AT TIME ZONE 'UTC')::date",
    month="date_trunc('month', {} AT TIME ZONE 'UTC')::date",
)


async def fill(database: Database, ledger_rows: int = 1_000_000) -> None:
    """Make contacts, enrollments, messages, delivery events and questions, in an empty, migrated database.

    The flow gets `ledger_rows` messages of three tenths as many enrollments, the others a quarter as many each, and
    there are 1.3 delivery events for each of the flow's messages. Always the same rows, but for the year, which ends
    now. A million take a minute or two.
    """
    words = _POSTGRESQL if database.url.get_backend_name() == "postgresql" else _SQLITE
    enrollments = ledger_rows * 3 // 10
    begin = datetime.now(UTC) - _YEAR
    async with database.write() as session:
        await _run(session, _contacts(words), many=enrollments, begin=begin)
    for number, flow in enumerate((FLOW, *_OTHERS)):
        many = enrollments if flow == FLOW else enrollments // 4
        async with database.write() as session:
            await _run(session, _enrollments(words, flow, number, many), many=many, begin=begin)
            await _run(session, _messages(words, flow, number), many=4, begin=begin)
    async with database.write() as session:
        for statement in (_deliveries(words), _approvals(), _tasks(), _leads()):
            await _run(session, statement, many=2, begin=begin)
    await _analyze(database)


async def _run(session: AsyncSession, statement: str, *, many: int, begin: datetime) -> None:
    bound = text(statement)
    at = begin.isoformat(sep=" ") if session.get_bind().dialect.name == "postgresql" else f"{begin:%Y-%m-%d %H:%M:%S}"
    values = {"many": many, "begin": at, "decision": _DECISION, "attempts": _ATTEMPTS, "build": BUILD}
    connection = await session.connection()
    await connection.execute(bound, {name: values[name] for name in bound.compile().params})


async def _analyze(database: Database) -> None:
    """What autovacuum does by itself after a while. Not within a transaction."""
    async with database._engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.exec_driver_sql("VACUUM ANALYZE" if connection.dialect.name == "postgresql" else "ANALYZE")


def _id(words: _Words, kind: int, number: str) -> str:
    """Of a UUID's form; `kind` tells tables and flows apart."""
    return f"'{kind:08x}-0000-7000-8000-' || {words.padded.format(number)}"


def _contacts(words: _Words) -> str:
    made = words.moment.format("0")
    return f"""
        INSERT INTO contacts (id, email, first_name, last_name, locale, attributes, created_at, updated_at)
        {words.numbers}
        SELECT {_id(words, 0, "n")}, 'contact-' || n || '@example.com', 'Ada', 'Lovelace', 'en', '{{}}', {made}, {made}
        FROM numbers"""  # noqa: S608 (ours)


def _enrollments(words: _Words, flow: str, number: int, many: int) -> str:
    """A fifth reach the goal, from an hour to two weeks after they entered; each began on one of two builds."""
    seconds = f"n * {_YEAR.total_seconds() / many:.6f}"
    entered = words.moment.format(seconds)
    ended = words.moment.format(f"{seconds} + 3600 + (n * 7919) % 1200000")
    active = int(many * (1 - _ACTIVE))
    return f"""
        INSERT INTO enrollments (id, flow, contact_id, settings, status, created_at, started_at, ended_at, exit,
            last_step, build)
        {words.numbers}
        SELECT {_id(words, number + 1, "n")}, '{flow}', {_id(words, 0, "n")}, '{{}}',
            CASE WHEN n < {active} THEN 'ended' ELSE 'active' END, {entered}, {entered},
            CASE WHEN n < {active} THEN {ended} END,
            CASE WHEN n >= {active} THEN NULL WHEN n % 5 = 0 THEN 'goal' WHEN n % 97 = 0 THEN 'unsubscribed'
                WHEN n % 193 = 0 THEN 'bounced' ELSE 'completed' END,
            CASE WHEN n < {active} THEN CASE n % 4 WHEN 0 THEN 'activated' WHEN 1 THEN 'tip' ELSE 'check-in' END END,
            CASE n % 2 WHEN 0 THEN '{BUILD}' ELSE 'ba9876543210' END
        FROM numbers"""  # noqa: S608 (ours)


def _messages(words: _Words, flow: str, number: int) -> str:
    """Three for each enrollment, and a fourth for each third of them."""
    chance = "(e.place * 7919 + s.n * 104729) % 1000"
    reason = (
        "CASE WHEN c < 900 THEN NULL WHEN c < 960 THEN 'contact opted out of news' WHEN c < 980 THEN "
        "'frequency cap: ' || c || ' marketing messages, and no more than 2 are allowed' WHEN c < 990 THEN "
        "'the SMTP server answered 550 5.1.' || c || ' to RCPT' ELSE 'no answer in time' END"
    )
    status = (
        "CASE WHEN c < 200 THEN 'sent' WHEN c < 600 THEN 'delivered' WHEN c < 800 THEN 'opened' WHEN c < 880 THEN "
        "'clicked' WHEN c < 898 THEN 'bounced' WHEN c < 900 THEN 'complained' WHEN c < 960 THEN 'skipped' "
        "WHEN c < 980 THEN 'deferred' WHEN c < 990 THEN 'rejected' ELSE 'unconfirmed' END"
    )
    place = "CAST(substr(id, 25) AS bigint)"
    return f"""
        INSERT INTO messages (id, month, flow, enrollment_id, contact_id, step, message, message_class, topic, status,
            opened, clicked, machine_opened, machine_clicked, handovers, subject, provider, provider_message_id, reason,
            created_at, updated_at, handed_over_at, sent_at, entered_on, build, decision, attempts)
        {words.numbers},
        drawn AS (
            SELECT e.*, s.n AS s, {chance} AS c
            FROM (SELECT {place} AS place, * FROM enrollments WHERE flow = '{flow}') AS e
            JOIN numbers AS s ON s.n < 3 OR e.place % 3 = 0
        )
        SELECT {_id(words, number + 16, "place * 4 + s")}, {words.month.format("created_at")}, flow, id, contact_id,
            CASE s WHEN 0 THEN 'welcome' WHEN 1 THEN 'hand' WHEN 2 THEN 'tip' ELSE 'check-in' END,
            CASE s WHEN 0 THEN 'welcome' WHEN 1 THEN 'hand' WHEN 2 THEN 'tip-' || (place % 2) ELSE 'check-in' END,
            'relationship', 'onboarding', {status},
            c BETWEEN 600 AND 879, c BETWEEN 800 AND 879, c % 4 = 0, c % 16 = 0,
            1, 'Welcome, Ada', 'sendgrid', '14c5d75ce93' || place, {reason}, created_at, created_at, created_at,
            created_at, created_at, build, :decision, :attempts
        FROM drawn"""  # noqa: S608 (ours)


def _deliveries(words: _Words) -> str:
    return f"""
        INSERT INTO delivery_events (id, provider, message_id, kind, occurred_at, received_at, automated, raw)
        {words.numbers}
        SELECT 'sendgrid:' || id || n, 'sendgrid', id, CASE n WHEN 0 THEN 'delivered' ELSE 'opened' END, created_at,
            created_at, CASE WHEN n = 1 AND NOT opened THEN 'agent' END, '{{"event": "delivered", "sg_event_id": "x"}}'
        FROM messages JOIN numbers ON n = 0 OR machine_opened
        WHERE status IN ('delivered', 'opened', 'clicked')"""  # noqa: S608 (ours)


_ASKED = f"flow = '{FLOW}' AND CAST(substr(id, 25) AS bigint) % 40 = 0"
"""Of whose enrollments the team is asked something. What they are asked has the enrollment's own id."""


def _approvals() -> str:
    return f"""
        INSERT INTO approvals (id, enrollment_id, contact_id, flow, step, subject, content, content_hash, stages, stage,
            status, created_at, closed_at)
        SELECT id, id, contact_id, flow, 'approve-offer', 'Offer', '{{}}', 'x', '[]', 0,
            CASE status WHEN 'ended' THEN 'approved' ELSE 'pending' END, created_at, ended_at
        FROM enrollments WHERE {_ASKED}"""  # noqa: S608 (ours)


def _tasks() -> str:
    return f"""
        INSERT INTO tasks (id, enrollment_id, contact_id, flow, step, subject, waited, status, created_at, closed_at,
            due_at)
        SELECT id, id, contact_id, flow, 'call', 'Call', true, CASE status WHEN 'ended' THEN 'done' ELSE 'open' END,
            created_at, ended_at, created_at
        FROM enrollments WHERE {_ASKED}"""  # noqa: S608 (ours)


def _leads() -> str:
    return f"""
        INSERT INTO assignments (id, enrollment_id, contact_id, flow, step, number, person_id, rules_version, status,
            reasons, created_at, closed_at)
        SELECT id, id, contact_id, flow, 'assign', 1, 'somebody', 0,
            CASE status WHEN 'ended' THEN 'accepted' ELSE 'offered' END, '[]', created_at, ended_at
        FROM enrollments WHERE {_ASKED}"""  # noqa: S608 (ours)
