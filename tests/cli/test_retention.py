"""What `cauce retention` says before anything is dropped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.retention import say_what_goes
from domain.contacts import ContactProfile
from runtime.settings import Settings
from store.contacts import upsert_contact
from store.database import Database
from store.partitions import EVENTS, later, partition_name
from store.tables import EventRow, month_of, now, on_clock
from tests.address_keys import ADDRESS_KEYS

LONG_AGO = datetime(2014, 5, 1, tzinfo=UTC)


async def test_each_month_goes_or_stays_with_the_reason_and_nothing_is_changed(
    postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    this = month_of(now())
    database = Database(postgres_url, ADDRESS_KEYS)
    async with database.write() as session:
        ada = (await upsert_contact(session, ContactProfile(email="ada@example.com"), {}, "test")).contact
        for event_id, at, told in (("a", now(), None), ("b", LONG_AGO, now()), ("c", LONG_AGO, now())):
            session.add(EventRow(id=event_id, contact_id=ada.id, name="bought", occurred_at=at, delivered_at=told))
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "database_url": postgres_url, "keep_events": timedelta(days=45)}
    )
    in_two_months = datetime.combine(later(this, 2), datetime.min.time(), UTC) + timedelta(days=20)
    with on_clock(lambda: in_two_months):
        for _ in range(2):
            await say_what_goes(settings)
    said = f"""\
messages: kept for ever
events: kept since {in_two_months - timedelta(days=45):%Y-%m-%d}
  {partition_name(EVENTS, later(this, -1))} goes
  {partition_name(EVENTS, this)} stays: events that Temporal was not told of
  2 rows go one by one
delivery_events: kept for ever
audience_members: kept for ever
"""
    assert capsys.readouterr().out == said * 2
    await database.close()
