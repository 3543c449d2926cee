"""The clock of a rehearsal: time passes only when told to, and nothing is under way while it does.

The server's clock is never let run while a step is at work: the run's history is read until it stands at a wait, and
then time is skipped just to that wait's end, or to the end of the travel. So nothing is overshot, and the moments that
work takes are not counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from time import monotonic

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from domain.working_time import Weekday
from rehearsal.standing import Standing

PATIENCE = 30.0
"""Seconds of real time for one step's work."""
RETRY_HOP = timedelta(seconds=5)
"""The least that time is skipped at once while an activity waits for its next attempt."""
_GLANCE = 0.002
"""Seconds of real time between two looks at a run that is at work."""
_TICK = timedelta(milliseconds=1)
"""The server's own: a timer fires at it or after it."""


class NotAtRest(Exception):
    """The run does not come to rest: its code fails, or its work does not end."""


class ServerTime:
    """What time it is on a server, told without asking it: activities and whatever a test does go by it.

    The server's time is the machine's and whatever was skipped. It is told of a skip before the server is: nothing is
    under way then, and what begins afterwards must not find the time from before.
    """

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self._environment = environment
        self._skipped = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._skipped

    async def ask(self) -> None:
        """Learn what was skipped until now."""
        self._skipped = await self._environment.get_current_time() - datetime.now(UTC)

    async def skip(self, duration: timedelta) -> None:
        self._skipped += duration
        await self._environment.sleep(duration)

    async def skip_to(self, day: Weekday, hour: int) -> None:
        """Skip, by less than a week, to the next full hour `hour` (UTC) on this weekday."""
        began = await self._environment.get_current_time()
        ahead = timedelta(days=(day.number - began.weekday()) % 7)
        moment = datetime.combine(began.date() + ahead, time(hour), UTC)
        await self.skip((moment if moment > began else moment + timedelta(days=7)) - began)


class Clock:
    """Of one workflow, on a server of its own."""

    def __init__(
        self, environment: WorkflowEnvironment, handle: WorkflowHandle[object, object], time: ServerTime
    ) -> None:
        self._environment = environment
        self._handle = handle
        self._time = time

    @property
    def skips(self) -> bool:
        """Whether time can be skipped: on Temporal's full server it is real."""
        return self._environment.supports_time_skipping_v1

    async def now(self) -> datetime:
        return await self._environment.get_current_time()

    async def settled(self) -> Standing:
        """Wait, in real time, until the flow has done what is to be done now. Raises: NotAtRest."""
        deadline = monotonic() + PATIENCE
        while True:
            run = await self._described()
            retrying = any(map(_retries, run.pending_activities))
            # Cheaper than a look at the history, which is the judge once nothing seems to be under way.
            if retrying or not (run.HasField("pending_workflow_task") or run.pending_activities):
                standing = Standing(await self._handle.fetch_history())
                if standing.failed_task is not None:
                    raise NotAtRest(f"the flow's code raised: {standing.failed_task}")
                if standing.closed or retrying or (standing.idle and await self._waits(standing)):
                    return standing
            if monotonic() > deadline:
                names = [activity.activity_id for activity in run.pending_activities]
                raise NotAtRest(f"the work of {', '.join(names) or 'a step'} does not end")
            await asyncio.sleep(_GLANCE)

    async def hop(self, standing: Standing, left: timedelta) -> timedelta:
        """From rest, skip to what is due next, but not farther than what is left; answer how far."""
        hop = left
        if standing.activities:
            hop = min(left, await self._retry_hop())
        elif standing.wait is not None and not standing.closed:
            hop = min(left, max(standing.wait.due - await self.now(), timedelta(0)))
        # Nothing else is due in between, so nothing moves the clock past the end of this sleep.
        await self._time.skip(hop + _TICK)
        return max(hop, _TICK)

    async def _waits(self, standing: Standing) -> bool:
        """A timer that is due fires within moments: until then the run only seems to be at rest."""
        return standing.wait is None or standing.wait.due > await self.now()

    async def _retry_hop(self) -> timedelta:
        """When the next attempt is due the server does not tell: a share of the time since the last one."""
        since = _last_attempt((await self._described()).pending_activities)
        return max(RETRY_HOP, (await self.now() - since) / 4) if since else RETRY_HOP

    async def _described(self) -> DescribeWorkflowExecutionResponse:
        """As the server tells it: the SDK's own description takes half as long again, and is asked for all the time."""
        client = self._environment.client
        return await client.workflow_service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(
                namespace=client.namespace, execution=WorkflowExecution(workflow_id=self._handle.id)
            ),
            retry=True,
        )


def _retries(activity: PendingActivityInfo) -> bool:
    """Whether an activity waits for its next attempt, which comes at its own time."""
    ended = activity.last_attempt_complete_time.ToNanoseconds()
    return activity.attempt > 1 and ended >= activity.last_started_time.ToNanoseconds()


def _last_attempt(pending: Iterable[PendingActivityInfo]) -> datetime | None:
    return min((activity.last_attempt_complete_time.ToDatetime(UTC) for activity in pending), default=None)
