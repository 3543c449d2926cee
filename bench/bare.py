"""What Temporal itself costs: onboarding's timers and activities, in a workflow that does nothing else."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow

TASK_QUEUE = "bare"
TIMERS = 2
ACTIVITIES = 4


@activity.defn(name="bare.nothing")
async def nothing() -> None:
    """Do nothing."""


@workflow.defn(name="bare")
class Bare:
    @workflow.run
    async def run(self, pause_seconds: float) -> None:
        for step in range(ACTIVITIES):
            await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(seconds=10))
            if step < TIMERS:
                await asyncio.sleep(pause_seconds)
