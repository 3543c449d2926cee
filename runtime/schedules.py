"""Schedules of flows in Temporal: made when a worker starts, and left to operators from then on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from domain.durations import in_words
from domain.flows import SCHEDULES_TASK_QUEUE, EnrollInactive, FlowType

_CATCH_UP = timedelta(hours=12)
"""After an outage: a day's enrollment that was missed by more is left out, the next day's is near."""


def schedule_id(flow: str) -> str:
    return f"cauce-enroll-inactive-{flow}"


async def keep_schedules(client: Client, flows: Mapping[str, FlowType]) -> None:
    """Make the schedule of each flow that has one, or bring it up to date; a pause and its note stay as they are.

    Doing it twice does nothing. The schedule of a flow that is gone stays, and enrolls nobody. Raises: RPCError.
    """
    for name, flow in flows.items():
        if flow.enrolls is not None:
            await _keep(client, name, flow.enrolls)


async def _keep(client: Client, flow: str, enrolls: EnrollInactive) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            "enroll_inactive",
            {"flow": flow},
            id=f"enroll-inactive-{flow}",
            task_queue=SCHEDULES_TASK_QUEUE,
            static_summary=f"Enroll contacts inactive for {in_words(enrolls.inactive_for)} in {flow}",
        ),
        spec=ScheduleSpec(
            calendars=[
                ScheduleCalendarSpec(hour=[ScheduleRange(enrolls.at.hour)], minute=[ScheduleRange(enrolls.at.minute)])
            ]
        ),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
    )
    try:
        await client.create_schedule(schedule_id(flow), schedule)
    except ScheduleAlreadyRunningError:

        def brought_up_to_date(known: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule.state = known.description.schedule.state
            return ScheduleUpdate(schedule)

        await client.get_schedule_handle(schedule_id(flow)).update(brought_up_to_date)
