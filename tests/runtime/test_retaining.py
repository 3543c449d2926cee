"""The part of a worker that makes months and forgets what is old."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from domain.contacts import ContactProfile
from runtime.settings import Settings
from store.contacts import upsert_contact
from store.database import Database
from store.tables import EventRow, now
from tests.address_keys import ADDRESS_KEYS
from tests.waiting import until
from worker.retaining import retaining


async def ids(database: Database) -> set[str]:
    async with database.read() as session:
        return set(await session.exec(select(EventRow.id)))


async def test_as_soon_as_a_worker_runs_what_is_older_than_its_setting_is_deleted(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with database.write() as session:
        ada = (await upsert_contact(session, ContactProfile(email="ada@example.com"), {}, "test")).contact
        for event_id, at in (("old", datetime(2014, 5, 1, tzinfo=UTC)), ("young", now())):
            session.add(EventRow(id=event_id, contact_id=ada.id, name="bought", occurred_at=at, delivered_at=now()))
    settings = Settings.model_validate({"data_dir": tmp_path, "keep_events": "31d"})
    with caplog.at_level(logging.INFO, "worker.retaining"):
        async with retaining(settings, database):
            await until(lambda: "deleted" in caplog.messages)
    assert await ids(database) == {"young"}
    (record,) = (record for record in caplog.records if record.message == "deleted")
    assert record.__dict__["rows"] == {"events": 1}


async def test_a_database_that_cannot_be_used_is_tried_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}", ADDRESS_KEYS)
    settings = Settings.model_validate({"data_dir": tmp_path, "keep_messages": "31d"})
    async with retaining(settings, empty):
        await until(lambda: caplog.messages == ["months left for later: OperationalError"])
    await empty.close()
