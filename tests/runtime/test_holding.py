"""Runs are told that they are held, or are not any more: after it is stored, in the end always, and each thing once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from domain.contacts import ContactProfile
from domain.flows import enrollment_workflow_id, flow_task_queue
from domain.memory import Memory
from runtime import holding
from runtime.dispatch import Dispatcher
from runtime.runs import NobodyAnswers, TemporalRefused, TemporalUnavailable
from runtime.sweep import Sweep
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import begin_replacing, enroll
from store.holds import Scope, begin_telling, hold, resume
from store.tables import ContactRow, EnrollmentRow, now
from tests.runtime.holdable import ABOUT, Holdable, WithoutHolds
from tests.waiting import until

FLOW = "holdable"
FLOWS = {FLOW: ABOUT, "unmanned": ABOUT}


@pytest.fixture
def dispatcher(temporal: WorkflowEnvironment, database: Database) -> Dispatcher:
    return Dispatcher(database, temporal.client, FLOWS)


@pytest.fixture
async def ada(database: Database) -> ContactRow:
    return await contact(database, "ada@example.com")


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Until it is undone, a run that nobody answers for is given up soon."""
    with monkeypatch.context() as patch:
        patch.setattr(holding, "RPC_TIMEOUT", timedelta(seconds=0.5))
        yield patch


@asynccontextmanager
async def worker(temporal: WorkflowEnvironment, code: type = Holdable) -> AsyncIterator[None]:
    async with Worker(temporal.client, task_queue=flow_task_queue(FLOW), workflows=[code], max_cached_workflows=0):
        yield


async def contact(database: Database, email: str) -> ContactRow:
    async with database.write() as session:
        return (await upsert_contact(session, ContactProfile(email=email), {}, "test")).contact


async def entered(database: Database, who: ContactRow, flow: str = FLOW) -> EnrollmentRow:
    async with database.write() as session:
        return await enroll(session, flow=flow, contact_id=who.id, settings={}, reenroll_after=timedelta(0))


async def running(database: Database, dispatcher: Dispatcher, who: ContactRow, flow: str = FLOW) -> EnrollmentRow:
    row = await entered(database, who, flow)
    assert await dispatcher.start(row)
    return await stored(database, row)


async def stored(database: Database, row: EnrollmentRow) -> EnrollmentRow:
    async with database.read() as session:
        return await session.get_one(EnrollmentRow, row.id)


async def held(database: Database, scope: Scope, target: str) -> None:
    async with database.write() as session:
        assert await hold(session, scope, target)


async def resumed(database: Database, scope: Scope, target: str) -> None:
    async with database.write() as session:
        assert await resume(session, scope, target)


async def told(temporal: WorkflowEnvironment, row: EnrollmentRow) -> list[str]:
    handle = temporal.client.get_workflow_handle(enrollment_workflow_id(row.flow, row.contact_id))
    answer: list[str] = await handle.query("told", result_type=list[str])
    return answer


async def sweep(dispatcher: Dispatcher) -> dict[str, int]:
    """Sweep, and answer only what was found."""
    finished = await Sweep(dispatcher).run(grace=timedelta(seconds=-1), closed_since=now() - timedelta(hours=1))
    return {kind: count for kind, count in finished.items() if count}


async def sweeps_tell(dispatcher: Dispatcher, count: int) -> None:
    """Sweep until so many runs have answered: a busy machine may be too slow for some of them at first."""
    answered = 0

    async def all_have() -> bool:
        nonlocal answered
        answered += (await sweep(dispatcher)).get("holds_told", 0)
        return answered >= count

    await until(all_have)
    assert answered == count


async def test_a_run_hears_of_a_hold_and_of_its_end_once_each(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await running(database, dispatcher, ada)
    async with worker(temporal):
        for scope, target in ((Scope.ENROLLMENT, row.id), (Scope.FLOW, FLOW)):
            await held(database, scope, target)
            await asyncio.gather(*(dispatcher.tell_hold(row) for _ in range(3)))
            await resumed(database, scope, target)
            assert await dispatcher.tell_hold(row)
        assert await told(temporal, row) == ["hold", "resume"] * 2
        assert await sweep(dispatcher) == {}
    assert (await stored(database, row)).held_since is None


async def test_the_sweep_tells_every_run_of_what_was_stored_and_never_told(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    others = [await contact(database, f"contact-{number}@example.com") for number in range(5)]
    rows = [await running(database, dispatcher, who) for who in (ada, *others)]
    await held(database, Scope.FLOW, FLOW)
    async with worker(temporal):
        await sweeps_tell(dispatcher, 6)
        assert await sweep(dispatcher) == {}
        await held(database, Scope.CONTACT, ada.id)
        await resumed(database, Scope.FLOW, FLOW)
        await sweeps_tell(dispatcher, 5)
        assert await told(temporal, rows[0]) == ["hold"]
        await resumed(database, Scope.CONTACT, ada.id)
        assert await sweep(dispatcher) == {"holds_told": 1}
        assert await told(temporal, rows[0]) == ["hold", "resume"]


async def test_a_run_begins_held_if_anything_holds_it(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    await held(database, Scope.FLOW, FLOW)
    row = await running(database, dispatcher, ada)
    assert row.held_since is not None
    assert await sweep(dispatcher) == {}
    await resumed(database, Scope.FLOW, FLOW)
    async with worker(temporal):
        assert await sweep(dispatcher) == {"holds_told": 1}
        assert await told(temporal, row) == ["began held", "resume"]


async def test_one_that_is_held_before_it_starts_is_started_held(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await entered(database, ada)
    await held(database, Scope.ENROLLMENT, row.id)
    assert await dispatcher.tell_hold(row)
    async with worker(temporal):
        assert await told(temporal, row) == ["began held"]


async def test_a_start_that_was_not_written_down_leaves_no_run_held_for_ever(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    await held(database, Scope.FLOW, FLOW)
    row = await running(database, dispatcher, ada)
    async with database.write() as session:
        forgotten = await session.get_one(EnrollmentRow, row.id)
        forgotten.started_at = forgotten.held_since = None
    await resumed(database, Scope.FLOW, FLOW)
    async with worker(temporal):
        assert await sweep(dispatcher) == {"enrollments_started": 1, "holds_told": 1}
        assert await told(temporal, row) == ["began held", "resume"]


async def test_a_telling_whose_answer_was_lost_is_free_to_repeat(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await running(database, dispatcher, ada)
    await held(database, Scope.ENROLLMENT, row.id)
    async with worker(temporal):
        async with database.write() as session:
            telling = await begin_telling(session, row.id)
        assert telling is not None
        handle = temporal.client.get_workflow_handle(enrollment_workflow_id(FLOW, ada.id))
        await handle.execute_update("hold", id=telling.key)
        assert await sweep(dispatcher) == {"holds_told": 1}
        assert await told(temporal, row) == ["hold"]


async def test_runs_that_nobody_answers_for_hold_up_no_other(
    temporal: WorkflowEnvironment,
    database: Database,
    dispatcher: Dispatcher,
    ada: ContactRow,
    impatience: pytest.MonkeyPatch,
) -> None:
    silent = [
        await running(database, dispatcher, await contact(database, f"contact-{number}@example.com"), "unmanned")
        for number in range(25)
    ]
    await held(database, Scope.FLOW, "unmanned")
    with pytest.raises(NobodyAnswers):
        await dispatcher.tell_hold(silent[0])
    row = await running(database, dispatcher, ada)
    await held(database, Scope.ENROLLMENT, row.id)
    await sweep(dispatcher)
    silent = [await stored(database, each) for each in silent]
    assert sum(each.hold_asked_at is not None for each in silent) < 25, "some that do not answer are enough"
    assert all(each.held_since is None for each in silent)

    async def knows() -> bool:
        return "holds_told" in await sweep(dispatcher)

    async with worker(temporal):
        await until(knows)


async def test_what_was_told_while_nobody_was_there_is_put_right_afterwards(
    temporal: WorkflowEnvironment,
    database: Database,
    dispatcher: Dispatcher,
    ada: ContactRow,
    impatience: pytest.MonkeyPatch,
) -> None:
    row = await running(database, dispatcher, ada)
    await held(database, Scope.ENROLLMENT, row.id)
    with pytest.raises(NobodyAnswers):
        await dispatcher.tell_hold(row)
    impatience.undo()
    await resumed(database, Scope.ENROLLMENT, row.id)
    async with worker(temporal):
        assert await sweep(dispatcher) == {"holds_told": 1}
        assert (await told(temporal, row))[-1] == "resume"


async def test_a_hold_of_a_run_that_is_gone_ends_its_enrollment(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await running(database, dispatcher, ada)
    await temporal.client.get_workflow_handle(enrollment_workflow_id(FLOW, ada.id)).terminate()
    await held(database, Scope.ENROLLMENT, row.id)
    assert await dispatcher.tell_hold(row)
    ended = await stored(database, row)
    assert (ended.status, ended.exit_reason) == ("ended", "its run was gone from Temporal")


async def test_code_that_knows_no_holds_refuses_and_is_asked_again(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await running(database, dispatcher, ada)
    await held(database, Scope.ENROLLMENT, row.id)
    async with worker(temporal, WithoutHolds):
        with pytest.raises(TemporalRefused, match="hold"):
            await dispatcher.tell_hold(row)
        assert await sweep(dispatcher) == {}
    async with worker(temporal):
        assert await sweep(dispatcher) == {"holds_told": 1}


async def test_a_run_that_took_the_place_of_another_is_told_again(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher, ada: ContactRow
) -> None:
    row = await running(database, dispatcher, ada)
    await held(database, Scope.ENROLLMENT, row.id)
    async with database.write() as session:
        replaced = await begin_replacing(session, row.id)
    assert replaced is not None
    async with worker(temporal):
        assert await dispatcher.tell_hold(row)
        await dispatcher.replace(replaced, Memory(entered_at=now()))
        assert await dispatcher.catch_up(replaced)
        assert await told(temporal, row) == []
        assert await sweep(dispatcher) == {"holds_told": 1}
        assert await told(temporal, row) == ["hold"]


async def test_while_temporal_is_down_holds_stay_to_be_told(
    temporal: WorkflowEnvironment,
    database: Database,
    dispatcher: Dispatcher,
    ada: ContactRow,
    unused_port: Callable[[], int],
) -> None:
    row = await running(database, dispatcher, ada)
    nowhere = await Client.connect(f"127.0.0.1:{unused_port()}", lazy=True, data_converter=pydantic_data_converter)
    await held(database, Scope.ENROLLMENT, row.id)
    with pytest.raises(TemporalUnavailable) as down:
        await Dispatcher(database, nowhere, FLOWS).tell_hold(row)
    assert not isinstance(down.value, TemporalRefused)
    async with worker(temporal):
        assert await sweep(dispatcher) == {"holds_told": 1}
