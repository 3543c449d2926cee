from __future__ import annotations

from datetime import timedelta

import pytest

from domain.suppressions import SuppressionReason
from store.database import Database
from store.events import mark_delivered, record_event, undelivered
from store.suppressions import suppress, suppressions_of
from store.tables import ContactRow, EventRow, now

SUNSET = SuppressionReason.SUNSET


def event(contact: ContactRow, name: str, event_id: str = "e-1") -> EventRow:
    return EventRow(id=event_id, contact_id=contact.id, name=name, occurred_at=now(), properties={"plan": "team"})


async def test_an_event_of_a_known_id_changes_nothing(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        assert await record_event(session, ada, event(ada, "activated"))
    async with database.write() as session:
        assert not await record_event(session, ada, event(ada, "clicked"))
    async with database.read() as session:
        assert (await session.get_one(EventRow, "e-1")).name == "activated"


@pytest.mark.parametrize(
    ("name", "reason"), [("unsubscribed", "unsubscribed"), ("bounced", "hard_bounce"), ("complained", "complaint")]
)
async def test_after_a_leaving_event_the_address_is_suppressed(
    database: Database, ada: ContactRow, name: str, reason: str
) -> None:
    async with database.write() as session:
        await record_event(session, ada, event(ada, name))
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == {reason}


@pytest.mark.parametrize("name", ["clicked", "bought", "demo_requested"])
async def test_a_contact_who_acts_is_sunset_no_more(database: Database, ada: ContactRow, name: str) -> None:
    async with database.write() as session:
        await suppress(session, ada.email, SUNSET, "test")
        await suppress(session, ada.email, SuppressionReason.UNSUBSCRIBED, "test")
        await record_event(session, ada, event(ada, name))
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == {"unsubscribed"}


@pytest.mark.parametrize("name", ["opened", "unsubscribed", "bounced", "complained"])
async def test_what_is_no_act_leaves_a_sunset_as_it_is(database: Database, ada: ContactRow, name: str) -> None:
    async with database.write() as session:
        await suppress(session, ada.email, SUNSET, "test")
        await record_event(session, ada, event(ada, name))
    async with database.read() as session:
        assert SUNSET in await suppressions_of(session, ada.email)


async def test_an_event_that_is_known_lifts_no_later_sunset(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        await record_event(session, ada, event(ada, "clicked"))
        await suppress(session, ada.email, SUNSET, "test")
        await record_event(session, ada, event(ada, "clicked"))
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == {SUNSET}


async def test_an_act_from_before_the_sunset_that_is_reported_late_lifts_nothing(
    database: Database, ada: ContactRow
) -> None:
    late = event(ada, "clicked")
    async with database.write() as session:
        await suppress(session, ada.email, SUNSET, "test")
        await record_event(session, ada, late)
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == {SUNSET}


async def test_events_wait_until_they_are_delivered_oldest_first(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        for event_id in ("b", "a", "c"):
            await record_event(session, ada, event(ada, "clicked", event_id))
        await mark_delivered(session, "a")
    async with database.read() as session:
        waiting = await undelivered(session, now() + timedelta(seconds=1), limit=10)
    assert [row.id for row in waiting] == ["b", "c"]
