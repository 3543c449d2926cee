"""Store first, then tell Temporal: whatever is left half done, the sweep finishes, and twice is once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from domain.contacts import ContactProfile
from domain.flows import Exit, Outcome, Progress, enrollment_workflow_id
from runtime.dispatch import Dispatcher
from runtime.runs import TemporalUnavailable
from runtime.sweep import Sweep
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll, mark_started, record_outcome, request_cancel
from store.events import record_event
from store.tables import ContactRow, EnrollmentRow, EventRow, new_id, now
from tests.waiting import until
from workflows.onboarding import Onboarding

FLOWS = {"onboarding": Onboarding.about}
AT_ONCE = timedelta(0)


@pytest.fixture
def dispatcher(temporal: WorkflowEnvironment, database: Database) -> Dispatcher:
    return Dispatcher(database, temporal.client, FLOWS)


@pytest.fixture
async def ada(database: Database) -> ContactRow:
    async with database.write() as session:
        return (await upsert_contact(session, ContactProfile(email="ada@example.com"), {}, "test")).contact


async def enrolled(database: Database, contact: ContactRow) -> EnrollmentRow:
    async with database.write() as session:
        return await enroll(session, flow="onboarding", contact_id=contact.id, settings={}, reenroll_after=AT_ONCE)


async def happened(database: Database, contact: ContactRow, name: str) -> EventRow:
    event = EventRow(id=new_id(), contact_id=contact.id, name=name, occurred_at=now())
    async with database.write() as session:
        await record_event(session, contact, event)
    return event


async def stored(database: Database, row: EnrollmentRow) -> EnrollmentRow:
    async with database.read() as session:
        return await session.get_one(EnrollmentRow, row.id)


async def sweep(dispatcher: Dispatcher) -> dict[str, int]:
    """Sweep, and answer only what was found."""
    finished = await Sweep(dispatcher).run(grace=timedelta(seconds=-1), closed_since=now() - timedelta(hours=1))
    return {kind: count for kind, count in finished.items() if count}


def signals(history: object) -> int:
    return str(history).count("workflow_execution_signaled_event_attributes")


async def history_of(temporal: WorkflowEnvironment, row: EnrollmentRow) -> list[object]:
    handle = temporal.client.get_workflow_handle(enrollment_workflow_id(row.flow, row.contact_id))
    return list((await handle.fetch_history()).events)


async def test_the_sweep_starts_what_was_stored_and_never_told(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    assert await sweep(dispatcher) == {"enrollments_started": 1}
    assert (await stored(database, row)).started_at is not None
    assert await sweep(dispatcher) == {}
    handle = temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id))
    described = await handle.describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert await described.memo_value("enrollment_id") == row.id


async def test_a_start_that_was_not_written_down_is_not_repeated(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    assert await dispatcher.start(row)
    first = await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).describe()
    async with database.write() as session:
        (await session.get_one(EnrollmentRow, row.id)).started_at = None
    assert await sweep(dispatcher) == {"enrollments_started": 1}
    again = await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).describe()
    assert again.run_id == first.run_id


async def test_a_new_enrollment_waits_for_the_previous_ones_run_to_close(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    first = await enrolled(database, ada)
    await dispatcher.start(first)
    async with database.write() as session:
        await record_outcome(session, first.id, Outcome(exit=Exit.COMPLETED, step=None))
    second = await enrolled(database, ada)
    assert not await dispatcher.start(second)
    assert (await stored(database, second)).started_at is None
    await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).terminate()
    assert (await sweep(dispatcher))["enrollments_started"] == 1


async def test_an_event_for_an_enrollment_that_has_not_started_starts_it_and_reaches_it(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    event = await happened(database, ada, "activated")
    assert await dispatcher.deliver(event)
    assert (await stored(database, row)).started_at is not None
    assert signals(await history_of(temporal, row)) == 1


async def test_the_sweep_delivers_what_was_stored_and_never_told(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    await dispatcher.start(row)
    await happened(database, ada, "activated")
    await happened(database, ada, "opened")
    assert await sweep(dispatcher) == {"events_delivered": 2}
    assert signals(await history_of(temporal, row)) == 1, "onboarding does not listen for opens"
    assert await sweep(dispatcher) == {}


async def test_the_sweep_cancels_what_was_asked_and_never_told(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    await dispatcher.start(row)
    async with database.write() as session:
        await request_cancel(session, row.id)
    assert await sweep(dispatcher) == {"enrollments_cancelled": 1}
    assert "workflow_execution_cancel_requested_event_attributes" in str(await history_of(temporal, row))
    assert await sweep(dispatcher) == {}


async def test_an_event_after_the_run_closed_is_no_error(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    await dispatcher.start(row)
    await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).terminate()
    assert await dispatcher.deliver(await happened(database, ada, "activated"))


async def test_a_run_that_an_operator_terminates_ends_its_enrollment(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    await dispatcher.start(row)
    await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).terminate("by hand")

    async def recorded() -> bool:
        return "outcomes_recorded" in await sweep(dispatcher)

    await until(recorded)  # the server's lists lag behind
    ended = await stored(database, row)
    assert (ended.status, ended.exit, ended.exit_reason) == ("ended", "cancelled", "terminated in Temporal")


async def test_while_temporal_is_down_everything_stays_to_be_told(
    temporal: WorkflowEnvironment,
    database: Database,
    dispatcher: Dispatcher,
    ada: ContactRow,
    unused_port: Callable[[], int],
) -> None:
    nowhere = await Client.connect(f"127.0.0.1:{unused_port()}", lazy=True, data_converter=pydantic_data_converter)
    offline = Dispatcher(database, nowhere, FLOWS)
    row = await enrolled(database, ada)
    event = await happened(database, ada, "activated")
    with pytest.raises(TemporalUnavailable):
        await offline.start(row)
    with pytest.raises(TemporalUnavailable):
        await offline.deliver(event)
    async with database.write() as session:
        await mark_started(session, [row.id])
        await request_cancel(session, row.id)
    with pytest.raises(TemporalUnavailable):
        await offline.cancel(await stored(database, row))
    assert await offline.progress(row) == Progress()
    async with database.write() as session:
        (await session.get_one(EnrollmentRow, row.id)).started_at = None
    assert await sweep(dispatcher) == {"enrollments_started": 1, "enrollments_cancelled": 1, "events_delivered": 1}


async def test_an_enrollment_in_a_flow_that_left_the_code_holds_up_no_other(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    async with database.write() as session:
        await enroll(session, flow="gone", contact_id=ada.id, settings={}, reenroll_after=AT_ONCE)
    await enrolled(database, ada)
    assert await sweep(dispatcher) == {"enrollments_started": 1}


async def test_cancelling_an_enrollment_whose_run_is_gone_ends_it(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    await dispatcher.start(row)
    await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).terminate()
    async with database.write() as session:
        asked = await request_cancel(session, row.id)
    assert asked is not None
    assert await dispatcher.cancel(asked)
    assert (await stored(database, row)).exit_reason == "its run was gone from Temporal"


async def test_a_namespace_that_is_not_there_is_no_closed_run(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    await dispatcher.start(row)
    event = await happened(database, ada, "activated")
    elsewhere = await Client.connect(
        temporal.client.service_client.config.target_host, namespace="nowhere", data_converter=pydantic_data_converter
    )
    lost = Dispatcher(database, elsewhere, FLOWS)
    started = await stored(database, row)
    for telling in (lost.deliver(event), lost.cancel(started)):
        with pytest.raises(TemporalUnavailable):
            await telling
    assert (await stored(database, row)).status == "active"
    assert await sweep(dispatcher) == {"events_delivered": 1}


async def test_a_row_that_temporal_refuses_holds_up_no_other(
    temporal: WorkflowEnvironment, database: Database, ada: ContactRow
) -> None:
    async with database.write() as session:
        await enroll(session, flow="x" * 1100, contact_id=ada.id, settings={}, reenroll_after=AT_ONCE)
    row = await enrolled(database, ada)
    event = await happened(database, ada, "unsubscribed")
    dispatcher = Dispatcher(database, temporal.client, {**FLOWS, "x" * 1100: Onboarding.about})
    assert (await sweep(dispatcher))["enrollments_started"] == 1
    assert signals(await history_of(temporal, row)) <= 1
    assert event.delivered_at is None


async def test_an_event_reaches_every_enrollment_that_can_be_told(
    temporal: WorkflowEnvironment, database: Database, ada: ContactRow
) -> None:
    async with database.write() as session:
        closing = await enroll(session, flow="another", contact_id=ada.id, settings={}, reenroll_after=AT_ONCE)
    await temporal.client.start_workflow(  # an earlier enrollment's run, still open
        "another", id=enrollment_workflow_id("another", ada.id), task_queue="nobody"
    )
    row = await enrolled(database, ada)
    dispatcher = Dispatcher(database, temporal.client, {**FLOWS, "another": Onboarding.about})
    assert not await dispatcher.deliver(await happened(database, ada, "unsubscribed"))
    assert signals(await history_of(temporal, row)) == 1
    assert (await stored(database, closing)).started_at is None


async def test_an_event_that_is_older_than_an_enrollment_is_none_of_its(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    event = await happened(database, ada, "activated")
    row = await enrolled(database, ada)
    async with database.write() as session:
        (await session.get_one(EventRow, event.id)).received_at = now() - timedelta(minutes=1)
    assert await sweep(dispatcher) == {"enrollments_started": 1, "events_delivered": 1}
    assert signals(await history_of(temporal, row)) == 0


async def test_an_enrollment_that_ended_meanwhile_is_not_started(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    stale = await enrolled(database, ada)
    async with database.write() as session:
        await record_outcome(session, stale.id, Outcome(exit=Exit.UNSUBSCRIBED, step=None))
    await dispatcher.start(stale)
    with pytest.raises(RPCError, match="not found"):
        await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).describe()


async def test_a_run_that_was_reset_lives_on(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    await dispatcher.start(row)
    handle = temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id))
    await handle.terminate("to be started anew")
    async with database.write() as session:
        (await session.get_one(EnrollmentRow, row.id)).started_at = None
    await dispatcher.start(row)

    async def listed() -> bool:
        query = f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Terminated'"
        return (await temporal.client.count_workflows(query)).count == 1

    await until(listed)
    assert await sweep(dispatcher) == {}
    assert (await stored(database, row)).status == "active"


async def test_more_rows_of_unknown_flows_than_a_batch_holds_starve_no_other(
    temporal: WorkflowEnvironment,
    database: Database,
    dispatcher: Dispatcher,
    ada: ContactRow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runtime.sweep.BATCH", 2)
    async with database.write() as session:
        for name in ("gone-1", "gone-2", "gone-3"):
            await enroll(session, flow=name, contact_id=ada.id, settings={}, reenroll_after=AT_ONCE)
    await enrolled(database, ada)
    assert await sweep(dispatcher) == {"enrollments_started": 1}


async def test_rows_that_cannot_be_finished_are_passed_by_batch_after_batch(
    temporal: WorkflowEnvironment, database: Database, ada: ContactRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.sweep.BATCH", 2)
    refused = [f"{number}{'x' * 1100}" for number in range(3)]
    async with database.write() as session:
        for name in refused:
            await enroll(session, flow=name, contact_id=ada.id, settings={}, reenroll_after=AT_ONCE)
    row = await enrolled(database, ada)
    dispatcher = Dispatcher(database, temporal.client, {**FLOWS, **dict.fromkeys(refused, Onboarding.about)})
    assert await sweep(dispatcher) == {"enrollments_started": 1}
    assert (await stored(database, row)).started_at is not None


async def test_an_event_that_finds_no_run_ends_the_enrollment_that_lost_it(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    await dispatcher.start(row)
    await temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id)).terminate()
    assert await dispatcher.deliver(await happened(database, ada, "activated"))
    ended = await stored(database, row)
    assert (ended.status, ended.exit_reason) == ("ended", "its run was gone from Temporal")


async def test_a_start_that_comes_too_late_leaves_no_run_behind(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await enrolled(database, ada)
    async with database.write() as session:
        # Takes the writer's lock: the start reads the row as active and then waits to note that it was started.
        await request_cancel(session, row.id)
        await session.flush()
        starting = asyncio.create_task(dispatcher.start(row))
        handle = temporal.client.get_workflow_handle(enrollment_workflow_id("onboarding", ada.id))

        async def runs() -> bool:
            try:
                return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
            except RPCError:
                return False

        await until(runs)
        await record_outcome(session, row.id, Outcome(exit=Exit.UNSUBSCRIBED, step=None))
    assert await starting
    assert (await handle.describe()).status is WorkflowExecutionStatus.TERMINATED
