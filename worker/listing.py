"""The worker of what works on many contacts at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from activities.bulk_enrollments import HEARTBEAT_EVERY, PAGE, BulkEnrollmentActivities
from domain.flows import LISTS_TASK_QUEUE, FlowType
from runtime.bulk_starting import BulkStarter
from runtime.dispatch import Dispatcher
from store.database import Database
from worker.private_failures import PrivateFailures
from worker.serving import UNVERSIONED
from workflows.discovery import workflow_runner
from workflows.lists.bulk_enrollment import BulkEnrollmentWorkflow

LISTS_GRACE = timedelta(seconds=10)
"""At a shutdown: a turn of a page is being enrolled. The next attempt goes on after it."""
STICKY_PATIENCE = timedelta(seconds=2)
"""How long what comes next waits for a worker that may have been killed, before any other takes it."""


@asynccontextmanager
async def listing(
    client: Client, database: Database, flows: Mapping[str, FlowType], *, page: int = PAGE
) -> AsyncIterator[None]:
    """Conduct bulk enrollments inside the block. `page` as for `BulkEnrollmentActivities`."""
    bulk = BulkEnrollmentActivities(database, flows, BulkStarter(Dispatcher(database, client, flows)), page=page)
    worker = Worker(
        client,
        task_queue=LISTS_TASK_QUEUE,
        workflows=[BulkEnrollmentWorkflow],
        activities=[bulk.prepare, bulk.look, bulk.enroll_page, bulk.check_gate, bulk.decide_gate, bulk.cancel],
        workflow_runner=workflow_runner(),
        build_id=UNVERSIONED,
        # Else a heartbeat is sent when most of the time until it is missed is over.
        max_heartbeat_throttle_interval=HEARTBEAT_EVERY,
        sticky_queue_schedule_to_start_timeout=STICKY_PATIENCE,
        graceful_shutdown_timeout=LISTS_GRACE,
        interceptors=[PrivateFailures()],
    )
    async with worker:
        yield
