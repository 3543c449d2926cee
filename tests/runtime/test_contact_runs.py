"""All runs of a contact in Temporal, and none of anybody else's: told, ended, deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from domain.contacts import ContactProfile
from domain.erasure import ENDED_FROM_OUTSIDE
from domain.flows import Exit, enrollment_workflow_id
from domain.messages import MessageStatus
from runtime.contact_runs import TemporalRuns
from runtime.dispatch import Dispatcher
from runtime.resending import start_resend
from runtime.sweep import Sweep
from runtime.temporal import CONTACT_ID
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll
from store.erasure_requests import request_erasure
from store.erasures import finish
from store.ledger_tables import MessageRow
from store.tables import ContactRow, EnrollmentRow, ErasureRow, new_id, now
from tests.waiting import until
from workflows.onboarding import Onboarding

FLOWS = {"onboarding": Onboarding.about}


@workflow.defn(name="chained", sandboxed=False)
class Chained:
    @workflow.run
    async def run(self, links: int) -> None:
        if links:
            workflow.continue_as_new(links - 1)


@pytest.fixture
def dispatcher(temporal: WorkflowEnvironment, database: Database) -> Dispatcher:
    return Dispatcher(database, temporal.client, FLOWS)


@pytest.fixture
def runs(temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher) -> TemporalRuns:
    return TemporalRuns(temporal.client, database, dispatcher, FLOWS)


async def contact(database: Database, name: str) -> ContactRow:
    async with database.write() as session:
        return (await upsert_contact(session, ContactProfile(email=f"{name}@example.com"), {}, "test")).contact


async def enrolled(database: Database, dispatcher: Dispatcher, row: ContactRow) -> EnrollmentRow:
    async with database.write() as session:
        enrollment = await enroll(
            session, flow="onboarding", contact_id=row.id, settings={}, reenroll_after=timedelta(0)
        )
    assert await dispatcher.start(enrollment)
    return enrollment


async def stored(database: Database, row: EnrollmentRow) -> EnrollmentRow:
    async with database.read() as session:
        return await session.get_one(EnrollmentRow, row.id)


async def erasure_of(database: Database, row: ContactRow) -> ErasureRow:
    async with database.write() as session:
        erasure = await request_erasure(session, row.id, "api")
    assert erasure is not None
    return erasure


async def test_active_enrollments_are_told_once_that_they_are_erased(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, runs: TemporalRuns
) -> None:
    ada = await contact(database, "ada")
    await enrolled(database, dispatcher, ada)
    await erasure_of(database, ada)
    for _ in range(2):
        await runs.tell_to_leave(ada.id)
    history = await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).fetch_history()
    assert history.to_json().count('"signalName": "event"') == 1


async def test_a_run_that_nobody_conducts_is_ended_and_its_outcome_recorded(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, runs: TemporalRuns
) -> None:
    ada, bo = await contact(database, "ada"), await contact(database, "bo")
    stuck, other = await enrolled(database, dispatcher, ada), await enrolled(database, dispatcher, bo)
    for _ in range(2):
        await runs.end(ada.id)
    ended = await stored(database, stuck)
    assert (ended.status, ended.exit, ended.exit_reason) == ("ended", Exit.ERASED, ENDED_FROM_OUTSIDE)
    status = {
        row.id: (
            await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", row.id)).describe()
        ).status
        for row in (ada, bo)
    }
    assert status == {ada.id: WorkflowExecutionStatus.TERMINATED, bo.id: WorkflowExecutionStatus.RUNNING}
    assert (await stored(database, other)).status == "active"


async def test_an_enrollment_that_never_started_is_ended_without_a_run(database: Database, runs: TemporalRuns) -> None:
    ada = await contact(database, "ada")
    async with database.write() as session:
        row = await enroll(session, flow="onboarding", contact_id=ada.id, settings={}, reenroll_after=None)
    await runs.end(ada.id)
    assert (await stored(database, row)).exit == Exit.ERASED


async def test_a_run_is_found_that_the_servers_list_does_not_have_under_the_contact(
    temporal: WorkflowEnvironment, runs: TemporalRuns
) -> None:
    contact_id = new_id()
    started = await temporal.client.start_workflow(
        "onboarding", id=enrollment_workflow_id("onboarding", contact_id), task_queue="nobodys"
    )
    assert await runs.delete(contact_id) == {started.first_execution_run_id}


async def test_every_run_of_a_chain_is_found_in_flows_that_are_gone_from_the_code_too(
    temporal: WorkflowEnvironment, runs: TemporalRuns
) -> None:
    contact_id = new_id()
    async with Worker(temporal.client, task_queue="chained", workflows=[Chained]):
        await temporal.client.execute_workflow(
            "chained",
            2,
            id=enrollment_workflow_id("retired", contact_id),
            task_queue="chained",
            search_attributes=TypedSearchAttributes([SearchAttributePair(CONTACT_ID, contact_id)]),
        )

    async def all_listed() -> bool:
        query = f"CauceContactId = '{contact_id}' AND ExecutionStatus != 'Running'"
        return (await temporal.client.count_workflows(query)).count == 3

    await until(all_listed)
    assert len(await runs.delete(contact_id)) == 3


async def test_the_run_that_resends_a_message_is_one_of_the_contacts(
    temporal: WorkflowEnvironment, database: Database, runs: TemporalRuns
) -> None:
    ada = await contact(database, "ada")
    message = MessageRow(
        flow="onboarding", enrollment_id=new_id(), contact_id=ada.id, step="welcome", status=MessageStatus.READY
    )
    assert await start_resend(temporal.client, message)
    await until(lambda: deleted_any(runs, ada.id))


async def deleted_any(runs: TemporalRuns, contact_id: str) -> bool:
    return bool(await runs.delete(contact_id))


async def test_the_sweep_begins_an_erasure_that_nobody_has_begun_once(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher
) -> None:
    erasure = await erasure_of(database, await contact(database, "ada"))

    async def swept() -> int:
        finished = await Sweep(dispatcher).run(grace=timedelta(seconds=-1), closed_since=now() - timedelta(hours=1))
        return finished["erasures_begun"]

    assert [await swept(), await swept()] == [1, 0]
    run = temporal.client.get_workflow_handle(f"erase-contact:{erasure.id}")
    first = await run.describe()
    assert first.status is WorkflowExecutionStatus.RUNNING
    assert str(erasure.contact_id) not in str(first.raw_description) + (await run.fetch_history()).to_json()

    # It does not finish: somebody may have ended it from outside.
    async with database.write() as session:
        (await session.get_one(ErasureRow, erasure.id)).begun_at = now() - timedelta(days=2)
    await run.terminate()
    assert await swept() == 1
    assert (await run.describe()).run_id != first.run_id
    async with database.write() as session:
        await finish(session, erasure.id)
        (await session.get_one(ErasureRow, erasure.id)).begun_at = None
    assert await swept() == 0
