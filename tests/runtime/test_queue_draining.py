"""The sweep gives leads of the queue to reps who are back, and tells the runs: in the end always, each thing once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from domain.events import LEAD_OFFERED
from domain.flows import enrollment_workflow_id
from domain.memory import Happening, Memory
from domain.working_time import Hours, Weekday
from runtime.dispatch import Dispatcher
from runtime.runs import TemporalUnavailable
from runtime.sweep import Sweep
from store.database import Database
from store.enrollments import begin_replacing
from store.holds import Scope, hold
from store.tables import EnrollmentRow, now
from tests.api.caller import client_of_nobody
from tests.store.sales import Sales
from workflows.onboarding import Onboarding

FLOWS = {"onboarding": Onboarding.about}
ALL_DAY = {day: [Hours.model_validate({"begins": "00:00", "ends": "23:59:59"})] for day in Weekday}


@pytest.fixture
def sales(database: Database) -> Sales:
    return Sales(database)


@pytest.fixture
def dispatcher(temporal: WorkflowEnvironment, database: Database) -> Dispatcher:
    return Dispatcher(database, temporal.client, FLOWS)


async def somebody_at_work(sales: Sales) -> None:
    """Two, so that one of them is, also in the last second of the other's day."""
    await sales.rep("ana", working_hours=ALL_DAY)
    await sales.rep("bo", working_hours=ALL_DAY, time_zone="Asia/Tokyo")


async def waiting(sales: Sales, dispatcher: Dispatcher) -> EnrollmentRow:
    """An enrollment that runs, and whose lead is in the queue."""
    lead = await sales.lead()
    await dispatcher.start(lead)
    await sales.queue(lead)
    return lead


async def sweep(dispatcher: Dispatcher) -> dict[str, int]:
    """Sweep, and answer only what was found."""
    finished = await Sweep(dispatcher).run(grace=timedelta(seconds=-1), closed_since=now() - timedelta(hours=1))
    return {kind: count for kind, count in finished.items() if count}


async def heard(temporal: WorkflowEnvironment, lead: EnrollmentRow) -> list[Happening]:
    """What the newest run was signalled."""
    handle = temporal.client.get_workflow_handle(enrollment_workflow_id(lead.flow, lead.contact_id))
    found = []
    async for event in handle.fetch_history_events():
        if event.HasField("workflow_execution_signaled_event_attributes"):
            payloads = event.workflow_execution_signaled_event_attributes.input.payloads
            found += await pydantic_data_converter.decode(payloads, [Happening])
    return found


async def test_who_is_back_gets_what_waits_and_the_runs_are_told_once(
    temporal: WorkflowEnvironment, sales: Sales, dispatcher: Dispatcher
) -> None:
    boss = await sales.rep("boss", roles=["sales_manager"])
    lead, by_hand = [await waiting(sales, dispatcher) for _ in range(2)]
    assert await sweep(dispatcher) == {}
    (queued,) = await sales.rows(by_hand)
    await sales.give_by_hand(queued, boss, boss)
    await somebody_at_work(sales)
    assert await sweep(dispatcher) == {"leads_drained": 1, "leads_told": 2}
    for each in (lead, by_hand):
        offer = (await sales.rows(each))[-1]
        assert await heard(temporal, each) == [Happening.of(offer.id, LEAD_OFFERED)]
    assert await sweep(dispatcher) == {}


async def test_a_lead_that_is_held_waits_until_it_is_resumed(sales: Sales, dispatcher: Dispatcher) -> None:
    lead = await waiting(sales, dispatcher)
    await somebody_at_work(sales)
    async with sales.database.write() as session:
        await hold(session, Scope.FLOW, lead.flow)
    assert "leads_drained" not in await sweep(dispatcher)
    assert await sales.statuses(lead) == ["queued"]


async def test_runs_are_told_once_temporal_is_back(
    sales: Sales, dispatcher: Dispatcher, database: Database, unused_port: Callable[[], int]
) -> None:
    await waiting(sales, dispatcher)
    await somebody_at_work(sales)
    without_temporal = Dispatcher(database, await client_of_nobody(unused_port()), FLOWS)
    with pytest.raises(TemporalUnavailable):
        await sweep(without_temporal)
    assert await sweep(dispatcher) == {"leads_told": 1}


async def test_an_enrollment_whose_run_is_gone_gives_the_lead_back(
    temporal: WorkflowEnvironment, sales: Sales, dispatcher: Dispatcher
) -> None:
    lead = await waiting(sales, dispatcher)
    await temporal.client.get_workflow_handle(enrollment_workflow_id(lead.flow, lead.contact_id)).terminate()
    await somebody_at_work(sales)
    await sweep(dispatcher)
    assert await sales.statuses(lead) == ["drained", "withdrawn"]
    assert not await sales.loads()


async def test_a_run_that_is_replaced_meanwhile_is_told_too(
    temporal: WorkflowEnvironment, sales: Sales, dispatcher: Dispatcher
) -> None:
    lead = await waiting(sales, dispatcher)
    async with sales.database.write() as session:
        replacing = await begin_replacing(session, lead.id)
    await somebody_at_work(sales)
    assert replacing is not None
    memory = Memory(entered_at=now())
    assert (await sweep(dispatcher))["leads_told"] == 1  # to the old run, whose memory was read before
    await dispatcher.replace(replacing, memory)
    assert await heard(temporal, lead) == []
    await dispatcher.catch_up(replacing)
    assert [happening.name for happening in await heard(temporal, lead)] == [LEAD_OFFERED]
