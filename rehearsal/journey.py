"""Lives one contact's enrollment in a flow, under skipped time: how flows are tested (docs/testing-flows.md).

    async with journey(Onboarding, contact=ada) as j:
        await j.travel(days=1)
        await j.unsubscribe()
        assert j.inbox().steps == ["welcome"]
        assert (await j.outcome()).exit == "unsubscribed"

Nothing is played but the clock: the flow's own code runs in a worker's sandbox, with the real activities, ledger and
templates, on Temporal's test server; emails end up in an outbox.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from pydantic import JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from activities.outgoing import Outgoing
from domain.contacts import ContactProfile
from domain.messages import Mailer
from domain.people import PersonProfile
from domain.working_time import Weekday
from emails.templates import Templates
from integrations.outbox.mailer import OutboxMailer
from integrations.outbox.reader import Outbox
from rehearsal.clock import ServerTime
from rehearsal.enrolled import Journey
from rehearsal.stage import MEMORY, StageSettings, flow_name, fresh_database, skipping_server, templates_of
from rehearsal.travelling import JourneyFailed, Stage
from runtime.dispatch import Dispatcher
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll
from store.events import record_event
from store.people import insert_person
from store.tables import ContactRow, EventRow, new_id, now, on_clock
from worker.process import working
from workflows.discovery import FlowClass, discover_flows

ADA = ContactProfile(email="ada@example.com", first_name="Ada", last_name="Lovelace")
"""Who a journey is about unless it says otherwise."""
MARTA = PersonProfile(email="marta@example.com", name="Marta Salas", roles=["sales_manager"])
ROSA = PersonProfile(email="rosa@example.com", name="Rosa Pérez", roles=["sales"])
RAUL = PersonProfile(email="raul@example.com", name="Raúl Soto", roles=["sales"])
"""People for `journey(…, people=[…])`: a manager and two reps, in the office from 9 to 18 (UTC), Monday to Friday."""

Past = Sequence[tuple[str, Mapping[str, JsonValue]]]
"""Events that happened to the contact on the day before, in order, each with its properties."""


class JourneyStarter(Protocol):
    """What the fixture `journey` is.

    `contact` enters the flow with these `settings`, with `consent` to topics or refusals of them, and with a `past`;
    `people` are the team. A flow that is not of `workflows/` needs its `templates`. Another `mailer` than the outbox
    leaves the inbox empty. Under skipped time it begins on a Monday at 9 (UTC).
    """

    def __call__(
        self,
        flow: FlowClass,
        contact: ContactProfile = ADA,
        consent: Mapping[str, bool] | None = None,
        people: Sequence[PersonProfile] = (),
        past: Past = (),
        mailer: Mailer | Outgoing | None = None,
        templates: Templates | None = None,
        **settings: Any,
    ) -> AbstractAsyncContextManager[Journey]: ...


@dataclass(frozen=True)
class JourneysOn:
    """A JourneyStarter on a server and a database that are there: Temporal's full server too, whose time is real.

    What is not given is each journey's own, and the end of its block takes it down.
    """

    environment: WorkflowEnvironment | None = None
    database: Database | None = None
    sending: Mapping[str, object] = field(default_factory=dict)
    """Settings of an installation, as `sending_hours` and `marketing_caps`; by default messages go out at any time."""

    @asynccontextmanager
    async def __call__(
        self,
        flow: FlowClass,
        contact: ContactProfile = ADA,
        consent: Mapping[str, bool] | None = None,
        people: Sequence[PersonProfile] = (),
        past: Past = (),
        mailer: Mailer | Outgoing | None = None,
        templates: Templates | None = None,
        **settings: Any,
    ) -> AsyncIterator[Journey]:
        overrides = flow.settings_model(**settings).model_dump(mode="json", exclude_unset=True)
        async with self._stage(flow, mailer, templates or templates_of(flow)) as stage:
            async with stage.database.write() as session:
                enters = (await upsert_contact(session, contact, consent or {}, "rehearsal")).contact
                await _prepare(session, enters, people, past)
                row = await enroll(
                    session,
                    flow=flow_name(flow),
                    contact_id=enters.id,
                    settings=overrides,
                    reenroll_after=timedelta(0),
                )
            if not await stage.dispatcher.start(row):
                raise AssertionError(f"{contact.email} is in {row.flow} already, and that enrollment is still ending")
            begun = Journey(flow, stage, row, contact.email)
            try:
                await begun.settle_if_skipping()
                yield begun
            except Exception as failure:
                if not isinstance(failure, JourneyFailed):
                    failure.add_note(await begun.story())
                raise
            finally:
                await _end(begun)

    @asynccontextmanager
    async def _stage(
        self, flow: FlowClass, mailer: Mailer | Outgoing | None, templates: Templates
    ) -> AsyncIterator[Stage]:
        """With a worker at work on it."""
        name = flow_name(flow)
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="cauce-journey-", dir=MEMORY)))
            server, database = self.environment, self.database
            if server is None:
                server = await stack.enter_async_context(skipping_server())
            if database is None:
                database = await stack.enter_async_context(fresh_database(folder))
            time = ServerTime(server)
            if server.supports_time_skipping_v1:
                await time.ask()
                if self.environment is None:
                    # Whatever day it is: weekdays, office hours and local times are the same in every run.
                    await time.skip_to(Weekday.MONDAY, hour=9)
                stack.enter_context(on_clock(time))
            configuration = StageSettings.model_validate({**self.sending, "data_dir": folder})
            work = working(
                server.client,
                configuration,
                database,
                _outgoing(mailer or OutboxMailer(configuration.outbox_folder)),
                templates,
                {name: flow},
                versioned=not server.supports_time_skipping_v1,
                known={name: each.about for name, each in discover_flows().items()},
            )
            await stack.enter_async_context(work)
            dispatcher = Dispatcher(database, server.client, {name: flow.about})
            yield Stage(server, time, database, dispatcher, Outbox(configuration.outbox_folder))


def _outgoing(mailer: Mailer | Outgoing) -> Outgoing:
    return mailer if isinstance(mailer, Outgoing) else Outgoing(mailer)


journey: JourneyStarter = JourneysOn()
"""Enroll a contact, with a server, a database and a worker of its own."""


async def _prepare(session: AsyncSession, contact: ContactRow, people: Sequence[PersonProfile], past: Past) -> None:
    for person in people:
        await insert_person(session, person)
    yesterday = now() - timedelta(days=1)
    for event, properties in past:
        row = EventRow(
            id=new_id(),
            contact_id=contact.id,
            name=event,
            properties=dict(properties),
            occurred_at=yesterday,
            received_at=yesterday,
            delivered_at=yesterday,
        )
        await record_event(session, contact, row)


async def _end(begun: Journey) -> None:
    """A run that stays open would outlive its worker, and on a shared server meet the next one."""
    skips = begun.environment.supports_time_skipping_v1
    if skips and (await begun.description()).status is WorkflowExecutionStatus.RUNNING:
        await begun.handle.terminate("the rehearsal is over")
