"""Histories of every stage of a flow replay on the code at hand, in the sandbox that workers use."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from rehearsal.enrolled import Journey
from rehearsal.journey import JourneyStarter
from tests.flows.specimens.nurturing import Nurturing
from workflows.discovery import FlowClass, workflow_runner
from workflows.onboarding import Onboarding

ONBOARDING_EVENTS = [
    "workflow_execution_started",
    "activity_task_scheduled",
    "timer_started",
    "activity_task_scheduled",
    "timer_started",
    "activity_task_scheduled",
    "timer_started",
    "activity_task_scheduled",
    "marker_recorded",
]


async def history(journey: Journey) -> WorkflowHistory:
    return await journey.handle.fetch_history()


def commands(history: WorkflowHistory) -> list[str]:
    """What the workflow did, without what the server answered."""
    kinds = [str(event.WhichOneof("attributes")).removesuffix("_event_attributes") for event in history.events]
    return [kind for kind in kinds if kind in ONBOARDING_EVENTS]


async def replay(flow: FlowClass, *histories: WorkflowHistory) -> None:
    replayer = Replayer(workflows=[flow], workflow_runner=workflow_runner(), data_converter=pydantic_data_converter)
    for each in histories:
        await replayer.replay_workflow(each)


async def test_onboarding_replays_from_each_of_its_waits_and_from_its_end(journey: JourneyStarter) -> None:
    async with journey(Onboarding) as j:
        stages = []
        for days in (1, 3, 7, 4):
            await j.travel(days=days)
            stages.append(await history(j))
        await j.outcome()
        stages.append(await history(j))
    assert len({len(stage.events) for stage in stages}) == 4, "one stage for each wait and one for the end"
    assert commands(stages[-1]) == ONBOARDING_EVENTS
    await replay(Onboarding, *stages)


@pytest.mark.parametrize("event", ["activated", "unsubscribed"])
async def test_onboarding_replays_after_an_exit(journey: JourneyStarter, event: str) -> None:
    async with journey(Onboarding) as j:
        await j.travel(days=5)
        await j.happens(event)
        await j.outcome()
        ended = await history(j)
    await replay(Onboarding, ended)


async def test_a_flow_with_branches_and_loops_replays(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        await j.travel(hours=1)
        await j.happens("clicked")
        await j.travel(days=12)
        under_way = await history(j)
        await j.cancel()
        await j.travel(days=1)
        cancelled = await history(j)
    await replay(Nurturing, under_way, cancelled)
