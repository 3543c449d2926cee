"""The activities of broadcasts, on a database and a provider's double, without Temporal: time is what the test says."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlmodel import col, select
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.batch_composing import ContactLinks
from activities.batch_reserving import Reserving
from activities.broadcast_orders import BatchDone, BroadcastOf, EndBroadcast, Plan, SendBatch, Winner
from activities.broadcasts import BroadcastActivities
from activities.outgoing import Outgoing
from domain.broadcasts import BroadcastOrder, BroadcastStatus
from domain.consent import ConsentState
from domain.messages import Mailer, Sender
from domain.sending_rules import SendingRules
from emails.templates import Templates
from store.broadcasts import add_broadcast, change_broadcast
from store.database import Database
from store.ledger_tables import MessageRow
from store.list_tables import AudienceMemberRow, BroadcastRow
from store.tables import ConsentRow, ContactRow, on_clock
from tests.activities.sending import Paused

MARISOL = Sender(
    name="Marisol & Co", email="hola@example.com", postal_address="1 Street", website="https://example.com"
)
TOPIC = "product-news"


@cache
def broadcast_templates() -> Templates:
    return Templates.load(only="broadcast")


def unsubscribe_url(contact_id: str) -> str:
    return f"https://example.com/unsubscribe/{contact_id}"


def activities_of(
    database: Database,
    outgoing: Outgoing,
    threads: ThreadPoolExecutor,
    *,
    rules: SendingRules | None = None,
    templates: Templates | None = None,
    per_second: float = 1e6,
) -> BroadcastActivities:
    links = {"confirm_url": lambda contact_id: f"https://example.com/confirm/{contact_id}"}
    return BroadcastActivities(
        database=database,
        outgoing=outgoing,
        reserving=Reserving(outgoing, ContactLinks(unsubscribe_url, links), rules or SendingRules()),
        templates=templates or broadcast_templates(),
        sender=MARISOL,
        threads=threads,
        per_second=per_second,
    )


async def contacts(database: Database, count: int, *, consent: bool = True, **values: Any) -> list[str]:
    """The ids of so many new contacts, who agree to the topic."""
    rows = [
        ContactRow(**{"email": f"c{number}@example.com", "first_name": f"C{number}", "locale": "en", **values})
        for number in range(count)
    ]
    async with database.write() as session:
        session.add_all(rows)
        await session.flush()
        words = [
            ConsentRow(contact_id=row.id, topic=TOPIC, state=ConsentState.GRANTED, source="test", recorded_by="api")
            for row in rows
        ]
        session.add_all(words if consent else [])
    return [row.id for row in rows]


def withdrawn(contact_id: str) -> ConsentRow:
    """The contact's word that they want it no more."""
    return ConsentRow(
        contact_id=contact_id, topic=TOPIC, state=ConsentState.WITHDRAWN, source="test", recorded_by="contact"
    )


async def asked_for(
    database: Database, contact_ids: Sequence[str], message: str = "product-update", **settings: Any
) -> BroadcastRow:
    """A broadcast as the API stores it."""
    order = {"name": "News", "message": message, "source": {"contact_ids": contact_ids}, **settings}
    async with database.write() as session:
        return await add_broadcast(session, BroadcastOrder.model_validate(order))


class MailingRoom:
    """The time is this machine's and what was let pass; each call is one attempt, as Temporal makes it."""

    def __init__(self, database: Database, activities: BroadcastActivities) -> None:
        self.database = database
        self.activities = activities
        self.passed = timedelta(0)
        self.attempt = ActivityEnvironment()

    @contextmanager
    def _on_time(self) -> Iterator[None]:
        with on_clock(lambda: datetime.now(UTC) + self.passed):
            yield

    def later(self, **by: float) -> None:
        self.passed += timedelta(**by)

    async def begin(self, row: BroadcastRow) -> Plan:
        plan: Plan = await self._run(self.activities.begin, BroadcastOf(broadcast_id=row.id))
        return plan

    async def send(self, row: BroadcastRow, first: int | None = None, end: int | None = None) -> BatchDone | Paused:
        """To a range of positions, or else to those who are due."""
        order = SendBatch(broadcast_id=row.id, first=first, end=end, limit=1000)
        try:
            done: BatchDone = await self._run(self.activities.send_batch, order)
        except ApplicationError as error:
            return Paused(str(error.type), error.next_retry_delay)
        return done

    async def send_all(self, row: BroadcastRow) -> BatchDone:
        plan = await self.begin(row)
        done = await self.send(row, 0, plan.held_out)
        assert isinstance(done, BatchDone)
        return done

    async def choose_winner(self, row: BroadcastRow) -> Winner:
        winner: Winner = await self._run(self.activities.choose_winner, BroadcastOf(broadcast_id=row.id))
        return winner

    async def end(self, row: BroadcastRow) -> BatchDone:
        done: BatchDone = await self._run(self.activities.end, EndBroadcast(broadcast_id=row.id))
        return done

    async def change(self, row: BroadcastRow, to: BroadcastStatus) -> None:
        async with self.database.write() as session:
            await change_broadcast(session, row.id, to)

    async def _run(self, activity: Any, order: Any) -> Any:
        with self._on_time():
            return await self.attempt.run(activity, order)

    async def rows(self, row: BroadcastRow) -> list[MessageRow]:
        query = select(MessageRow).where(MessageRow.broadcast_id == row.id).order_by(col(MessageRow.id))
        async with self.database.read() as session:
            return list(await session.exec(query))

    async def statuses(self, row: BroadcastRow) -> Counter[str]:
        return Counter(str(each.status) for each in await self.rows(row))

    async def in_order(self, row: BroadcastRow) -> list[str]:
        """The ids of its contacts by position."""
        query = select(AudienceMemberRow.contact_id).where(AudienceMemberRow.audience_id == row.id)
        async with self.database.read() as session:
            return list(await session.exec(query.order_by(col(AudienceMemberRow.position))))

    async def stored(self, row: BroadcastRow) -> BroadcastRow:
        async with self.database.read() as session:
            return await session.get_one(BroadcastRow, row.id)


@asynccontextmanager
async def mailing_room(
    database: Database, *mailers: Mailer, rules: SendingRules | None = None, **more: Any
) -> AsyncIterator[MailingRoom]:
    with ThreadPoolExecutor(4) as threads:
        yield MailingRoom(database, activities_of(database, Outgoing(*mailers), threads, rules=rules, **more))
