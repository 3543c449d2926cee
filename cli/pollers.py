"""Who asks a Temporal server for work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from domain.flows import EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE

_RPC_TIMEOUT = timedelta(seconds=2)


async def pollers(client: Client, task_queue: str) -> dict[str, timedelta]:
    """Identities of the workers that polled a queue of ours, and how long ago the last poll began.

    The server remembers for five minutes, the dead too. Who is alive begins a poll every minute or so.
    Raises: RPCError.
    """
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=(
                TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
                if task_queue in (EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE)
                else TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
            ),
        ),
        timeout=_RPC_TIMEOUT,
    )
    now = datetime.now(UTC)
    return {poller.identity: now - poller.last_access_time.ToDatetime(tzinfo=UTC) for poller in answer.pollers}
