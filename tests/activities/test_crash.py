"""A process that exits hard between any two steps of a send: what the provider got is counted."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from sqlmodel import select

from domain.contacts import ContactProfile
from integrations.outbox.reader import Outbox
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll
from store.ledger_tables import MessageRow
from store.tables import EnrollmentRow
from tests.activities.attempt import Attempt, CrashPoint, run
from tests.activities.crashing import HARD_EXIT
from tests.integrations.fake_sendgrid import FakeSendGrid

CRASHES: tuple[CrashPoint, ...] = get_args(CrashPoint)


@pytest.fixture
async def enrollment(database: Database) -> EnrollmentRow:
    async with database.write() as session:
        ada = (await upsert_contact(session, ContactProfile(email="ada@example.com"), {}, "test")).contact
        return await enroll(session, flow="onboarding", contact_id=ada.id, settings={}, reenroll_after=timedelta(0))


def crashed(order: Attempt, crash: CrashPoint) -> bool:
    """Make one attempt in a process of its own, and say whether it exited hard."""
    argument = order.model_copy(update={"crash": crash}).model_dump_json()
    done = subprocess.run([sys.executable, "-m", "tests.activities.attempt", argument], capture_output=True, timeout=60)
    return done.returncode == HARD_EXIT


async def ledger(database: Database) -> list[MessageRow]:
    async with database.read() as session:
        return list(await session.exec(select(MessageRow)))


@pytest.mark.parametrize("crash", CRASHES)
async def test_a_provider_that_knows_a_repeated_message_gets_each_once(
    database: Database, sqlite_url: str, enrollment: EnrollmentRow, tmp_path: Path, crash: CrashPoint
) -> None:
    order = Attempt(
        enrollment_id=enrollment.id, database_url=sqlite_url, outbox=tmp_path / "outbox", sendgrid_url=None, crash=None
    )
    assert crashed(order, crash)
    assert [await run(order), await run(order)] == ["sent", "sent"]
    (row,) = await ledger(database)
    assert [message.message_id for message in Outbox(order.outbox).page(10)] == [row.id]


@pytest.mark.parametrize(
    ("crash", "calls", "status"),
    [
        ("before the reservation", 1, "sent"),
        ("before the call", 0, "unconfirmed"),
        ("before the receipt", 1, "unconfirmed"),
        ("after the receipt", 1, "sent"),
    ],
)
async def test_a_provider_that_does_not_is_never_called_twice_and_every_doubt_is_listed(
    database: Database,
    sqlite_url: str,
    enrollment: EnrollmentRow,
    tmp_path: Path,
    crash: CrashPoint,
    calls: int,
    status: str,
) -> None:
    with FakeSendGrid() as sendgrid:
        order = Attempt(
            enrollment_id=enrollment.id,
            database_url=sqlite_url,
            outbox=tmp_path,
            sendgrid_url=sendgrid.url,
            crash=None,
        )
        assert crashed(order, crash)
        assert [await run(order), await run(order)] == [status, status]
        assert sendgrid.requests == calls
    (row,) = await ledger(database)
    assert row.status == status
