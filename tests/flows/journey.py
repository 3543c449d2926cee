"""Lives an enrollment under skipped time: the real flow, activities, ledger and outbox on a time-skipping server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import col, select
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from domain.contacts import ContactProfile
from domain.flows import Outcome, Progress, enrollment_workflow_id
from domain.messages import Mailer
from emails.templates import Templates
from integrations.outbox.mailer import OutboxMailer
from integrations.outbox.reader import Outbox
from runtime.dispatch import Dispatcher
from runtime.settings import Settings
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, request_cancel
from store.events import record_event
from store.tables import ContactRow, EnrollmentRow, EventRow, MessageRow, new_id, now
from tests.emails.project import BODY, FOOTER
from worker.process import working
from workflows.discovery import FlowClass, discover_flows

ADA = ContactProfile(email="ada@example.com", first_name="Ada", last_name="Lovelace")
BO = ContactProfile(email="bo@example.com", first_name="Bo", last_name="Ek", locale="es-CL")


class Journey:
    """One contact in one flow."""

    def __init__(
        self,
        environment: WorkflowEnvironment,
        database: Database,
        dispatcher: Dispatcher,
        outbox: Outbox,
        row: EnrollmentRow,
    ) -> None:
        self.environment = environment
        self.database = database
        self.dispatcher = dispatcher
        self.outbox = outbox
        self.row = row

    @property
    def handle(self) -> WorkflowHandle[Any, Outcome]:
        workflow_id = enrollment_workflow_id(self.row.flow, self.row.contact_id)
        return self.environment.client.get_workflow_handle(workflow_id, result_type=Outcome)

    async def travel(self, **duration: float) -> None:
        """Let time pass, in the units of a timedelta."""
        await self.environment.sleep(timedelta(**duration))

    async def happens(self, name: str, event_id: str | None = None) -> None:
        """Something happens to the contact: stored, then told to Temporal, as the API does it."""
        async with self.database.write() as session:
            contact = await session.get_one(ContactRow, self.row.contact_id)
            event = EventRow(id=event_id or new_id(), contact_id=contact.id, name=name, occurred_at=now())
            if not await record_event(session, contact, event):
                event = await session.get_one(EventRow, event.id)
        await self.dispatcher.deliver(event)

    async def cancel(self) -> None:
        async with self.database.write() as session:
            row = await request_cancel(session, self.row.id)
        assert row is not None
        await self.dispatcher.cancel(row)

    async def outcome(self) -> Outcome:
        """Let days pass until the enrollment ends; answer the workflow's own outcome."""
        while (await self.description()).status is WorkflowExecutionStatus.RUNNING:
            await self.travel(days=1)
        return await self.handle.result()

    async def enrollment(self) -> EnrollmentRow:
        async with self.database.read() as session:
            return await session.get_one(EnrollmentRow, self.row.id)

    async def progress(self) -> Progress:
        return await self.dispatcher.progress(self.row)

    async def description(self) -> WorkflowExecutionDescription:
        return await self.handle.describe()

    async def ledger(self) -> list[MessageRow]:
        async with self.database.read() as session:
            return list(await session.exec(select(MessageRow).order_by(col(MessageRow.id))))

    def inbox(self) -> list[str]:
        """The steps whose emails arrived, in order."""
        return [message.step for message in reversed(self.outbox.page(100))]

    def subjects(self) -> list[str]:
        return [message.subject for message in reversed(self.outbox.page(100))]


JourneyStarter = Callable[..., AbstractAsyncContextManager[Journey]]


def starter(environment: WorkflowEnvironment, database: Database, folder: Path) -> JourneyStarter:
    """What the fixture `journey` gives: `async with journey(Onboarding, contact=ADA) as j`."""

    @asynccontextmanager
    async def journey(
        flow: FlowClass,
        contact: ContactProfile = ADA,
        consent: dict[str, bool] | None = None,
        mailer: Mailer | None = None,
        templates: Templates | None = None,
        **settings: Any,
    ) -> AsyncIterator[Journey]:
        overrides = flow.settings_model(**settings).model_dump(mode="json", exclude_unset=True)
        name, flows = _catalogue(flow)
        configuration = Settings(data_dir=folder)
        outbox = Outbox(configuration.outbox_folder)
        dispatcher = Dispatcher(database, environment.client, {key: value.about for key, value in flows.items()})
        async with working(
            environment.client,
            configuration,
            database,
            mailer or OutboxMailer(configuration.outbox_folder),
            templates or (Templates.load() if flow.__module__.startswith("workflows.") else specimen_templates(folder)),
            flows,
        ):
            async with database.write() as session:
                person = (await upsert_contact(session, contact, consent or {}, "test")).contact
                row = await enroll(
                    session, flow=name, contact_id=person.id, settings=overrides, reenroll_after=timedelta(0)
                )
            assert await dispatcher.start(row)
            yield Journey(environment, database, dispatcher, outbox, row)

    return journey


def specimen_templates(folder: Path) -> Templates:
    """Templates for the flows of `specimens/`, all alike."""
    root = folder / "emails"
    messages = {"nurturing": ("guide", "case-study", "reminder"), "drip": ("tip",), "marathon": ("tip",)}
    for flow, names in messages.items():
        for name in names:
            _write(root / flow / name / "message.toml", 'class = "relationship"\ntopic = "specimens"\n')
            for locale in ("en", "es"):
                _write(root / "layout" / locale / "footer.mjml", FOOTER)
                _write(root / flow / name / locale / "subject.txt", f"{name} for {{{{ contact.first_name }}}}\n")
                _write(root / flow / name / locale / "body.mjml", BODY.replace("LOCALE", locale))
    return Templates.load(root)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _catalogue(flow: FlowClass) -> tuple[str, dict[str, FlowClass]]:
    from tests.flows import specimens

    package = None if flow.__module__.startswith("workflows.") else specimens
    flows = discover_flows(package) if package else discover_flows()
    return next(name for name, value in flows.items() if value is flow), flows
