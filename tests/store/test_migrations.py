"""What migrations make of the data that is there."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from domain.contacts import ContactProfile
from domain.deliveries import DeliveryKind
from domain.messages import MessageStatus
from store.contacts import upsert_contact
from store.database import Database
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.migrating import migrate
from store.partitions import first_moment, later
from store.suppressions import keyed_hash, suppressions_of
from store.tables import EnrollmentRow, EventRow, month_of, now
from tests.address_keys import ADDRESS_KEYS

ADA = "ada@example.com"


@pytest.fixture
def before(database_url: str) -> Engine:
    """A database as it was before email could be trusted, with something of everything that changes."""
    url = make_url(database_url)
    engine = create_engine(url.set(drivername=url.drivername.replace("postgresql", "postgresql+psycopg")))
    to(engine, "0003", back=True)
    address = hashlib.sha256(ADA.encode()).hexdigest()
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO contacts (id, email, first_name, last_name, locale, time_zone, score, attributes,"
                " created_at, updated_at) VALUES ('a', :ada, '', '', 'en', 'UTC', 0, '{}', '2026-01-01', '2026-01-01'),"
                " ('b', 'bo@example.com', '', '', 'en', 'Asia/Tokyo', 0, '{}', '2026-01-01', '2026-01-01')"
            ),
            {"ada": ADA},
        )
        for granted in (True, False):
            connection.execute(
                text(
                    "INSERT INTO consents (id, contact_id, topic, granted, source, recorded_at)"
                    " VALUES (:id, 'a', 'offers', :granted, 'api', '2026-01-01')"
                ),
                {"id": f"consent-{granted}", "granted": granted},
            )
        for reason in ("bounced", "complained", "sunset", "unsubscribed"):
            connection.execute(
                text("INSERT INTO suppressions (email_hash, reason, created_at) VALUES (:hash, :reason, '2026-01-01')"),
                {"hash": address, "reason": reason},
            )
    return engine


def to(engine: Engine, revision: str, *, back: bool = False) -> None:
    config = Config()
    config.set_main_option("script_location", "store/migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        config.attributes["address_key"] = ADDRESS_KEYS[0]
        (command.downgrade if back else command.upgrade)(config, revision)


async def test_consent_and_suppressions_keep_their_meaning_and_unknown_zones_are_unknown(
    before: Engine, database_url: str
) -> None:
    await asyncio.to_thread(migrate, database_url, ADDRESS_KEYS[0])
    with before.connect() as connection:
        zones = connection.execute(text("SELECT id, time_zone FROM contacts ORDER BY id")).all()
        states = connection.execute(text("SELECT id, state, recorded_by FROM consents ORDER BY id")).all()
        hashes = connection.execute(text("SELECT DISTINCT email_hash, contact_id FROM suppressions")).all()
    assert [tuple(row) for row in zones] == [("a", None), ("b", "Asia/Tokyo")]
    assert [tuple(row) for row in states] == [
        ("consent-False", "withdrawn", "api"),
        ("consent-True", "granted", "api"),
    ]
    assert [tuple(row) for row in hashes] == [(keyed_hash(ADDRESS_KEYS[0], ADA), "a")]
    opened = Database(database_url, ADDRESS_KEYS)
    async with opened.read() as session:
        assert await suppressions_of(session, ADA) == {"hard_bounce", "complaint", "sunset", "unsubscribed"}
    await opened.close()
    before.dispose()


def test_a_migration_that_is_undone_leaves_what_was_there(before: Engine) -> None:
    to(before, "0004")
    to(before, "0003", back=True)
    with before.connect() as connection:
        granted = connection.execute(text("SELECT id FROM consents WHERE granted")).all()
        reasons = connection.execute(text("SELECT reason FROM suppressions ORDER BY reason")).all()
    assert [tuple(row) for row in granted] == [("consent-True",)]
    assert [reason for (reason,) in reasons] == ["bounced", "complained", "sunset", "unsubscribed"]
    before.dispose()


@pytest.mark.parametrize("database_url", ["postgres_url"], indirect=True)
async def test_rows_come_into_their_months_and_out_of_them_again_and_none_is_lost(database_url: str) -> None:
    this = month_of(now())
    back = {"this month": 0, "months ago": -4, "years ago": -70}
    months = {name: later(this, by) for name, by in back.items()}
    opened = Database(database_url, ADDRESS_KEYS)
    async with opened.write() as session:
        contact = (await upsert_contact(session, ContactProfile(email=ADA), {}, "test")).contact
        ended = EnrollmentRow(flow="onboarding", contact_id=contact.id, status="ended")
        session.add(ended)
        await session.flush()
        for name, month in months.items():
            at = first_moment(month)
            session.add(EventRow(id=name, contact_id=contact.id, name="bought", occurred_at=at))
            session.add(DeliveryEventRow(id=name, provider="sendgrid", kind=DeliveryKind.OPENED, occurred_at=at))
            message = MessageRow(
                id=name,
                month=month,
                flow="onboarding",
                enrollment_id=ended.id,
                contact_id=contact.id,
                step=name,
                status=MessageStatus.SENT,
            )
            session.add(message)
    await opened.close()
    url = make_url(database_url)
    engine = create_engine(url.set(drivername="postgresql+psycopg"))
    tables = ("messages", "events", "delivery_events")
    made = rows_of(engine, tables)
    to(engine, "0005", back=True)
    assert rows_of(engine, tables) == made
    to(engine, "0006")
    assert rows_of(engine, tables) == made
    with engine.connect() as connection:
        for table in tables:
            lie = connection.execute(text(f"SELECT id, tableoid::regclass::text FROM {table}")).all()  # noqa: S608
            assert dict(tuple(row) for row in lie) == {
                "this month": f"{table}_{this:%Y_%m}",
                "months ago": f"{table}_{months['months ago']:%Y_%m}",
                "years ago": f"{table}_default",
            }
            parts = connection.scalar(
                text("SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass(:table)"), {"table": table}
            )
            assert parts == len(range(-4, 3)) + 1
    engine.dispose()


def rows_of(engine: Engine, tables: tuple[str, ...]) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as connection:
        return {
            table: [tuple(map(str, row)) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY id"))]  # noqa: S608
            for table in tables
        }
