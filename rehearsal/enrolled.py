"""What a test does with one contact's journey, and what it looks at: `j` in `async with journey(…) as j`."""

from __future__ import annotations

from typing import Any

from domain.events import ERASED
from rehearsal.team import Team
from store.events import record_event
from store.tables import ContactRow, EventRow, new_id, now
from store.timeline import Entry, page_of_timeline

_ALL = 10_000


class Journey(Team):
    """One contact in one flow. What it offers is what the contact does, what time does, and what came of it.

    What time does is in `Travelling`, what people of the team do in `Team`. A flow's verb that asks something of a
    person gets a verb there too, which reaches the enrollment as the API does it and then settles, as `cancel` does;
    what it leaves behind to look at gets a method beside `approvals`.
    """

    # -- What the contact does --------------------------------------------------------------------------------------

    async def happens(self, name: str, event_id: str | None = None, **properties: Any) -> None:
        """Something happens to the contact: stored, then told to Temporal, as the API does it.

        An event of an id that happened before changes nothing.
        """
        async with self.database.write() as session:
            contact = await session.get_one(ContactRow, self.row.contact_id)
            event = EventRow(
                id=event_id or new_id(), contact_id=contact.id, name=name, occurred_at=now(), properties=properties
            )
            if not await record_event(session, contact, event):
                event = await session.get_one(EventRow, event.id)
        await self.dispatcher.deliver(event)
        await self.settle_if_skipping()

    async def open(self) -> None:
        await self.happens("opened")

    async def click(self) -> None:
        await self.happens("clicked")

    async def visit(self) -> None:
        await self.happens("visited")

    async def reply(self) -> None:
        await self.happens("replied")

    async def buy(self) -> None:
        await self.happens("bought")

    async def unsubscribe(self) -> None:
        await self.happens("unsubscribed")

    async def bounce(self) -> None:
        """An email to the contact comes back for good."""
        await self.happens("bounced")

    async def complain(self) -> None:
        """The contact marks an email as spam."""
        await self.happens("complained")

    async def erase(self) -> None:
        """The contact has themselves erased: what their flows are told of it."""
        await self.happens(ERASED)

    async def reach_goal(self) -> None:
        """What the flow exists to bring about happens."""
        await self.happens(self.flow.about.goal.event)

    # -- What came of it --------------------------------------------------------------------------------------------

    async def contact(self) -> ContactRow:
        """The contact as the database has them: score, lifecycle stage, owner, attributes."""
        async with self.database.read() as session:
            return await session.get_one(ContactRow, self.row.contact_id)

    async def timeline(self) -> list[Entry]:
        """What happened to the contact and what did not, newest first; the `text` of each is a line for people."""
        async with self.database.read() as session:
            contact = await session.get_one(ContactRow, self.row.contact_id)
            return (await page_of_timeline(session, contact, limit=_ALL)).entries
