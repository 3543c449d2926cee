"""What a schedule of the API starts at each of its times: it makes the bulk enrollment or the broadcast."""

from __future__ import annotations

from datetime import UTC, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey

from activities.schedules import DueSchedule, Fired, FireSchedule, ScheduleActivities

_AT_MOST = timedelta(hours=1)
"""How long it is tried: what a schedule makes hours late is not what was wanted."""
_ITS_TIME = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
"""What Temporal tells a run of the time that it is for."""


@workflow.defn(name="fire_schedule")
class FireScheduleWorkflow:
    @workflow.run
    async def run(self, schedule: FireSchedule) -> Fired:
        info = workflow.info()
        nominal = info.typed_search_attributes.get(_ITS_TIME) or info.start_time
        fired = await workflow.execute_activity_method(
            ScheduleActivities.fire,
            DueSchedule(schedule_id=schedule.schedule_id, nominal=nominal.astimezone(UTC)),
            start_to_close_timeout=timedelta(minutes=1),
            schedule_to_close_timeout=_AT_MOST,
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
            summary=f"for {nominal.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        )
        workflow.set_current_details(f"left out: {fired.left_out}" if fired.left_out else f"made {fired.job_id}")
        return fired
