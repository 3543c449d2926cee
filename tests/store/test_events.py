from __future__ import annotations

from datetime import timedelta

import pytest

from store.contacts import suppressions_of
from store.database import Database
from store.events import mark_delivered, record_event, undelivered
from store.tables import ContactRow, EventRow, now


def event(contact: ContactRow, name: str, event_id: str = "e-1") -> EventRow:
    return EventRow(id=event_id, contact_id=contact.id, name=name, occurred_at=now(), properties={"plan": "team"})


async def test_an_event_of_a_known_id_changes_nothing(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        assert await record_event(session, ada, event(ada, "activated"))
    async with database.write() as session:
        assert not await record_event(session, ada, event(ada, "clicked"))
    async with database.read() as session:
        assert (await session.get_one(EventRow, "e-1")).name == "activated"


@pytest.mark.parametrize("name", ["unsubscribed", "bounced", "complained"])
async def test_after_a_leaving_event_the_address_is_suppressed(database: Database, ada: ContactRow, name: str) -> None:
    async with database.write() as session:
        await record_event(session, ada, event(ada, name))
    async with database.read() as session:
        assert await suppressions_of(session, ada.email) == {name}


async def test_events_wait_until_they_are_delivered_oldest_first(database: Database, ada: ContactRow) -> None:
    async with database.write() as session:
        for event_id in ("b", "a", "c"):
            await record_event(session, ada, event(ada, "clicked", event_id))
        await mark_delivered(session, "a")
    async with database.read() as session:
        waiting = await undelivered(session, now() + timedelta(seconds=1), limit=10)
    assert [row.id for row in waiting] == ["b", "c"]
