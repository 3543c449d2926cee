"""What migrations make reports of that was sent before there were any."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from domain.message_counts import message_counts
from store.database import Database
from store.migrating import migrate
from store.reports import Cohort, message_tallies
from tests.address_keys import ADDRESS_KEYS
from tests.store.test_migrations import to

_CONTACT = (
    "INSERT INTO contacts (id, email, first_name, last_name, locale, score, attributes, created_at, updated_at)"
    " VALUES ('a', 'ada@example.com', '', '', 'en', 0, '{}', '2026-01-01', '2026-01-01')"
)
_ENROLLMENT = (
    "INSERT INTO enrollments (id, flow, contact_id, settings, status, created_at, origin)"
    " VALUES ('e', 'onboarding', 'a', '{}', 'active', :entered, 'api')"
)
_MESSAGE = (
    "INSERT INTO messages (id, enrollment_id, contact_id, person_id, step, message, status, handovers, created_at,"
    " updated_at, decision, attempts)"
    " VALUES (:id, 'e', 'a', :person, :id, :id, :status, 1, '2026-01-01', '2026-01-01', '{}', '[]')"
)
_EVENT = (
    "INSERT INTO delivery_events (id, provider, message_id, kind, occurred_at, received_at, automated, raw)"
    " VALUES (:id, 'sendgrid', :message, :kind, '2026-01-02', '2026-01-02', :sign, '{}')"
)


@pytest.fixture
async def database(database_url: str) -> Database:
    """Closed by its test, which goes back and forth below it."""
    url = make_url(database_url)
    engine = create_engine(url.set(drivername=url.drivername.replace("postgresql", "postgresql+psycopg")))
    to(engine, "0004", back=True)
    with engine.begin() as connection:
        connection.execute(text(_CONTACT))
        # Elsewhere it is the next day, of another month.
        connection.execute(text(_ENROLLMENT), {"entered": "2026-01-31 23:30:00+00:00"})
        for message, status, person in (
            ("read", "opened", None),
            ("scanned", "delivered", None),
            ("skipped", "skipped", None),
            ("to-the-team", "sent", "p"),
        ):
            connection.execute(text(_MESSAGE), {"id": message, "status": status, "person": person})
        for number, (of, kind, sign) in enumerate(
            (
                ("read", "opened", None),
                ("read", "clicked", "agent"),
                ("scanned", "clicked", "too_fast"),
                ("skipped", "opened", None),
                (None, "opened", None),
            )
        ):
            event = {"id": f"event-{number}", "message": of, "kind": kind, "sign": sign}
            connection.execute(text(_EVENT), event)
    engine.dispose()
    await asyncio.to_thread(migrate, database_url, ADDRESS_KEYS[0])
    return Database(database_url, ADDRESS_KEYS)


async def test_messages_of_before_are_counted_with_who_read_them(database: Database) -> None:
    async with database.read() as session:
        tallies = await message_tallies(session, Cohort("onboarding"))
        on_the_day = Cohort("onboarding", date(2026, 1, 31), date(2026, 2, 1))
        assert sorted(await message_tallies(session, on_the_day)) == sorted(tallies)
    counts = message_counts(tallies)
    assert (counts.reached, counts.sent, counts.skipped) == (3, 2, 1)
    assert (counts.opened.people, counts.opened.machines_only) == (1, 1)
    assert (counts.clicked.people, counts.clicked.machines_only) == (0, 2)
    await database.close()
