"""A history that grows long continues as new, and the journey goes on where it was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from domain.flows import Exit
from rehearsal.journey import JourneysOn
from runtime.temporal import CONTACT_ID
from store.database import Database
from tests.flows.specimen_templates import with_specimens
from tests.flows.specimens.marathon import Marathon
from tests.temporal_server import temporal_server
from tests.waiting import until


@pytest.fixture
async def impatient() -> AsyncIterator[WorkflowEnvironment]:
    """A full server that suggests to continue as new after twenty events instead of four thousand."""
    async with await temporal_server(
        "--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20"
    ) as environment:
        yield environment


async def test_no_step_is_repeated_and_no_event_is_lost_when_a_run_continues_as_new(
    impatient: WorkflowEnvironment, database: Database
) -> None:
    async with with_specimens(JourneysOn(impatient, database))(Marathon) as j:
        await until(lambda: j.inbox().steps == ["tip"])
        await j.happens("clicked", event_id="click")
        first_run = (await j.description()).run_id
        assert (await j.handle.result()).exit is Exit.COMPLETED
        assert j.inbox().steps == ["tip", "finish"]
        described = await j.description()
        assert described.run_id != first_run
        assert await described.memo_value("enrollment_id") == j.row.id
        assert described.typed_search_attributes[CONTACT_ID] == j.row.contact_id
        first = await impatient.client.get_workflow_handle(j.handle.id, run_id=first_run).describe()
        assert first.status is WorkflowExecutionStatus.CONTINUED_AS_NEW
        timers = 0
        async for run in impatient.client.list_workflows(f"WorkflowId = '{j.handle.id}'"):
            history = await impatient.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
            timers += sum(event.HasField("timer_started_event_attributes") for event in history.events)
        assert timers == 6
