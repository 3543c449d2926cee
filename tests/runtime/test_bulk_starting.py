"""Starting by the page what is enrolled in bulk: as `Dispatcher.start` of each, behind whoever is enrolled alone."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowExecutionDescription
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from domain.flows import Exit, Outcome, enrollment_workflow_id
from runtime.bulk_starting import BulkStarter
from runtime.dispatch import Dispatcher
from runtime.runs import TemporalUnavailable
from runtime.temporal import STATE
from store import holds
from store.database import Database
from store.enrollments import record_outcome
from store.tables import ContactRow, EnrollmentRow, new_id
from tests.api.caller import client_of_nobody
from workflows.onboarding import Onboarding

FLOWS = {"onboarding": Onboarding.about}


async def enrolled(database: Database, count: int, *, bulk_id: str | None = "spring") -> list[EnrollmentRow]:
    contacts = [ContactRow(email=f"{new_id()}@example.com", locale="en") for _ in range(count)]
    rows = [EnrollmentRow(flow="onboarding", contact_id=contact.id, bulk_id=bulk_id) for contact in contacts]
    async with database.write() as session:
        session.add_all(contacts)
        await session.flush()
        session.add_all(rows)
    return rows


async def run_of(temporal: WorkflowEnvironment, row: EnrollmentRow) -> WorkflowExecutionDescription:
    handle = temporal.client.get_workflow_handle(enrollment_workflow_id(row.flow, row.contact_id))
    return await handle.describe()


async def stored(database: Database, row: EnrollmentRow) -> EnrollmentRow:
    async with database.read() as session:
        return await session.get_one(EnrollmentRow, row.id)


@pytest.fixture
def dispatcher(temporal: WorkflowEnvironment, database: Database) -> Dispatcher:
    return Dispatcher(database, temporal.client, FLOWS)


def priority(run: WorkflowExecutionDescription) -> int:
    return int(run.raw_description.workflow_execution_info.priority.priority_key)


async def test_they_run_and_are_marked_and_twice_is_once(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher
) -> None:
    rows = await enrolled(database, 3)
    runs = []
    for _ in range(2):
        await BulkStarter(dispatcher)(rows)
        runs.append([(await run_of(temporal, row)).run_id for row in rows])
    assert runs[0] == runs[1]
    assert all([(await stored(database, row)).started_at for row in rows])


async def test_they_wait_behind_whoever_is_enrolled_alone_also_if_the_sweep_starts_them(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher
) -> None:
    by_page, by_sweep = await enrolled(database, 2)
    (alone,) = await enrolled(database, 1, bulk_id=None)
    await BulkStarter(dispatcher)([by_page])
    for row in (by_sweep, alone):
        await dispatcher.start(row)
    keys = [priority(await run_of(temporal, row)) for row in (by_page, by_sweep, alone)]
    assert keys == [4, 4, 0], "0 is 3, the server's own default"


async def test_one_that_is_held_begins_held_and_one_that_has_ended_does_not_begin(
    temporal: WorkflowEnvironment, database: Database, dispatcher: Dispatcher
) -> None:
    held, ended, plain = await enrolled(database, 3)
    async with database.write() as session:
        await holds.hold(session, holds.Scope.CONTACT, held.contact_id)
        await record_outcome(session, ended.id, Outcome(exit=Exit.CANCELLED, step=None))
    await BulkStarter(dispatcher)([held, ended, plain])
    assert (await run_of(temporal, held)).typed_search_attributes[STATE] == "held"
    assert (await stored(database, held)).held_since is not None
    assert (await run_of(temporal, plain)).typed_search_attributes[STATE] == "waiting"
    with pytest.raises(RPCError, match="not found"):
        await run_of(temporal, ended)


async def test_while_temporal_is_away_nothing_is_marked(database: Database) -> None:
    rows = await enrolled(database, 2)
    with pytest.raises(TemporalUnavailable):
        await BulkStarter(Dispatcher(database, await client_of_nobody(1), FLOWS))(rows)
    assert [(await stored(database, row)).started_at for row in rows] == [None, None]
