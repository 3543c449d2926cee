"""What a flow's daily schedule starts: it enrolls contacts who have been inactive (domain.flows.EnrollInactive)."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.inactivity import HEARTBEAT_TIMEOUT, Enrolled, EnrollInactiveContacts, InactivityActivities

_AT_MOST = timedelta(hours=20)
"""Less than a day: the next one begins anew."""


@workflow.defn(name="enroll_inactive")
class EnrollInactive:
    @workflow.run
    async def run(self, order: EnrollInactiveContacts) -> Enrolled:
        return await workflow.execute_activity_method(
            InactivityActivities.enroll,
            order,
            start_to_close_timeout=_AT_MOST,
            schedule_to_close_timeout=_AT_MOST,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=10)),
            summary=f"enroll inactive contacts in {order.flow}",
        )
