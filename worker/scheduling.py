"""The worker of workflows that are no flows, and the making of the schedules that start some of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.inactivity import InactivityActivities
from activities.schedules import ScheduleActivities
from domain.flows import SCHEDULES_TASK_QUEUE, FlowType
from runtime.recurring import begin_job, keep_recurring
from runtime.runs import TemporalUnavailable
from runtime.schedules import keep_schedules
from store.database import Database
from store.list_tables import BroadcastRow, BulkEnrollmentRow
from worker.private_failures import PrivateFailures
from worker.serving import UNVERSIONED
from workflows.chores.resend_message import ResendMessage
from workflows.discovery import workflow_runner
from workflows.schedules.enroll_inactive import EnrollInactive
from workflows.schedules.fire_schedule import FireScheduleWorkflow

logger = logging.getLogger(__name__)

SCHEDULES_GRACE = timedelta(seconds=10)
"""At a shutdown: a page of contacts is being enrolled. The next attempt goes on after it."""
_AGAIN = timedelta(seconds=10)


@asynccontextmanager
async def scheduling(client: Client, database: Database, flows: Mapping[str, FlowType]) -> AsyncIterator[None]:
    """Make the flows' schedules and those of the API; do inside the block what they start, and what else is no flow."""

    async def begin(job: BulkEnrollmentRow | BroadcastRow) -> None:
        await begin_job(job, client, database)

    worker = Worker(
        client,
        task_queue=SCHEDULES_TASK_QUEUE,
        workflows=[EnrollInactive, FireScheduleWorkflow, ResendMessage],
        activities=[InactivityActivities(database, flows).enroll, ScheduleActivities(database, flows, begin).fire],
        workflow_runner=workflow_runner(),
        build_id=UNVERSIONED,
        graceful_shutdown_timeout=SCHEDULES_GRACE,
        interceptors=[PrivateFailures()],
    )
    async with worker:
        making = asyncio.create_task(_make(client, database, flows))
        try:
            yield
        finally:
            making.cancel()


async def _make(client: Client, database: Database, flows: Mapping[str, FlowType]) -> None:
    while True:
        try:
            await keep_schedules(client, flows)
            return await keep_recurring(client, database)
        except RPCError as error:
            logger.warning("schedules are not made yet: %s", error.message)
        except (TemporalUnavailable, SQLAlchemyError) as error:
            logger.warning("schedules are not made yet: %s", type(error).__name__)
        await asyncio.sleep(_AGAIN.total_seconds())
