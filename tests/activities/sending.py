"""The activities that send, on a database, without Temporal: time is what the test says it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlmodel import col, select
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.email import EmailActivities, SendEmail
from activities.handover import Handover
from activities.outgoing import Outgoing
from domain.contacts import ContactProfile
from domain.flows import FlowSettings
from domain.messages import (
    DeliveryAmbiguous,
    EmailMessage,
    InOutage,
    MailerError,
    Receipt,
    Sender,
    SendResult,
)
from domain.sending_rules import SendingRules
from emails.templates import Templates
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll
from store.ledger_tables import MessageRow
from store.tables import ContactRow, EnrollmentRow, now, on_clock
from tests.flows.specimen_templates import specimen_templates


class Paused(NamedTuple):
    """An attempt that Temporal makes again."""

    kind: str
    delay: timedelta | None


class Post:
    """A provider that takes every message, or raises what the test put into `trouble`."""

    def __init__(self, name: str = "post", *, idempotent: bool = False) -> None:
        self.name = name
        self.idempotent = idempotent
        self.taken: list[str] = []
        self.calls = 0
        self.trouble: MailerError | None = None

    def send(self, message: EmailMessage) -> Receipt:
        self.calls += 1
        if isinstance(self.trouble, DeliveryAmbiguous):
            self.taken.append(message.id)
        if self.trouble is not None:
            raise self.trouble
        self.taken.append(message.id)
        return Receipt(provider=self.name, provider_message_id=str(self.calls))

    def close(self) -> None:
        pass


class Desk:
    """Flows of one contact each send `tip`; `clock` is the time."""

    def __init__(self, database: Database, email: EmailActivities) -> None:
        self.database = database
        self.email = email
        self.clock = now()

    @contextmanager
    def on_time(self) -> Iterator[None]:
        with on_clock(lambda: self.clock):
            yield

    async def contact(self, **profile: object) -> ContactRow:
        with self.on_time():
            async with self.database.write() as session:
                known = ContactProfile.model_validate({"email": "ada@example.com", **profile})
                return (await upsert_contact(session, known, {}, "test")).contact

    async def enter(self, contact: ContactRow, flow: str = "drip") -> str:
        async with self.database.write() as session:
            row = await enroll(
                session, flow=flow, contact_id=contact.id, settings={}, reenroll_after=timedelta(0), origin="api"
            )
        return row.id

    async def send(self, enrollment_id: str, in_outage: InOutage | None = None) -> SendResult | Paused:
        order = SendEmail(enrollment_id=enrollment_id, step="tip", in_outage=in_outage)
        with self.on_time():
            try:
                return await ActivityEnvironment().run(self.email.send, order)
            except ApplicationError as error:
                return Paused(str(error.type), error.next_retry_delay)

    async def message(self, enrollment_id: str) -> MessageRow:
        async with self.database.read() as session:
            return (await session.exec(select(MessageRow).where(MessageRow.enrollment_id == enrollment_id))).one()

    async def messages(self) -> list[MessageRow]:
        async with self.database.read() as session:
            return list(await session.exec(select(MessageRow).order_by(col(MessageRow.id))))

    async def end(self, enrollment_id: str, exit_: str) -> None:
        async with self.database.write() as session:
            row = await session.get_one(EnrollmentRow, enrollment_id)
            row.status, row.exit = "ended", exit_
            session.add(row)

    def at(self, moment: datetime) -> None:
        self.clock = moment


@asynccontextmanager
async def desk(
    database: Database, outgoing: Outgoing, rules: SendingRules | None = None, flows: int = 1
) -> AsyncIterator[Desk]:
    """With flows called `drip`, `drip-1` and so on, whose one message is of class relationship."""
    known = specimen_templates()
    tip = known._find("drip", "tip")
    names = ["drip", *(f"drip-{number}" for number in range(1, flows))]
    templates = Templates(known._root, {(name, "tip"): tip for name in names})
    with ThreadPoolExecutor(4) as threads:
        email = EmailActivities(
            database=database,
            handover=Handover(database, outgoing, threads),
            templates=templates,
            sender=Sender(
                name="Cauce", email="a@example.com", postal_address="1 Street", website="https://example.com"
            ),
            settings_models=dict.fromkeys(names, FlowSettings),
            unsubscribe_url=lambda contact_id: f"https://example.com/{contact_id}",
            links={},
            rules=rules or SendingRules(),
        )
        yield Desk(database, email)
