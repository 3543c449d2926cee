"""Moving enrollments to another version of their flow: asked to move, or replaced where no worker is left to ask."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from domain.flows import FlowType, flow_task_queue
from runtime.dispatch import Dispatcher
from runtime.encryption import CannotDecrypt
from runtime.recall import Unreadable, recall
from runtime.temporal import RPC_TIMEOUT
from store import enrollments
from store.database import Database
from store.tables import EnrollmentRow

logger = logging.getLogger(__name__)

_MISTAKEN = 2
"""Attempts at one workflow task, seconds after the run was asked: its workers are there and do not get it done."""
_VERSION = SearchAttributeKey.for_keyword("TemporalWorkerDeploymentVersion")


@dataclass(frozen=True)
class OpenRun:
    """A run of an enrollment that has not closed. `build` is None before its first workflow task: any will do."""

    flow: str
    workflow_id: str
    run_id: str
    enrollment_id: str
    build: str | None


async def open_runs(client: Client, flow: str) -> AsyncIterator[OpenRun]:
    """The open runs of a flow, newest first, as the server lists them: some moments late. Raises: RPCError."""
    query = f"TaskQueue = '{flow_task_queue(flow)}' AND ExecutionStatus = 'Running'"
    async for run in client.list_workflows(query, rpc_timeout=RPC_TIMEOUT):
        version = run.typed_search_attributes.get(_VERSION)
        build = version.rpartition(":")[2] if version else await _build_now(client, run)
        yield OpenRun(
            flow=flow,
            workflow_id=run.id,
            run_id=run.run_id,
            enrollment_id=await _enrollment_of(run),
            build=build,
        )


async def _enrollment_of(run: WorkflowExecution) -> str:
    """Empty if it says none, or nothing that can be decrypted: whoever asks for the run's memory is told why."""
    enrollment_id = ""
    with suppress(CannotDecrypt):
        enrollment_id = await run.memo_value("enrollment_id", "")
    return enrollment_id


async def _build_now(client: Client, run: WorkflowExecution) -> str | None:
    """What the list may be too late to tell."""
    handle = client.get_workflow_handle(run.id, run_id=run.run_id)
    with _unless_closed():
        description = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        versioning = description.raw_description.workflow_execution_info.versioning_info
        return versioning.deployment_version.build_id or None
    return None


async def gone_flows(client: Client, known: Collection[str]) -> Counter[str]:
    """How many contacts are in flows that are not known. Raises: RPCError."""
    query = f"TaskQueue STARTS_WITH '{flow_task_queue('')}' AND ExecutionStatus = 'Running'"
    if known:
        query += f" AND WorkflowType NOT IN ({', '.join(repr(name) for name in known)})"
    return Counter([run.workflow_type async for run in client.list_workflows(query, rpc_timeout=RPC_TIMEOUT)])


class Mover:
    """Every method may be repeated; what one that is killed halfway leaves, the sweep brings to its end."""

    def __init__(
        self, client: Client, database: Database, dispatcher: Dispatcher, flows: Mapping[str, FlowType]
    ) -> None:
        self._flows = flows
        self._client = client
        self._database = database
        self._dispatcher = dispatcher

    async def ask(self, run: OpenRun) -> None:
        """Ask a run to go on with its flow's target version, once the contact is at rest. Its worker must be there."""
        with _unless_closed():
            await self._handle(run).signal("move", self._flows[run.flow].renamed, rpc_timeout=RPC_TIMEOUT)

    async def is_open(self, run: OpenRun) -> bool:
        """Whether a run is the contact's still, and not closed, moved or ended: asked of itself, the list is late."""
        description = await self._handle(run).describe(rpc_timeout=RPC_TIMEOUT)
        return description.status is WorkflowExecutionStatus.RUNNING

    async def is_deciding(self, run: OpenRun) -> bool:
        """Whether a worker has yet to take in what was told to a run."""
        description = await self._handle(run).describe(rpc_timeout=RPC_TIMEOUT)
        open_ = description.status is WorkflowExecutionStatus.RUNNING
        return open_ and description.raw_description.HasField("pending_workflow_task")

    async def is_failing(self, run: OpenRun) -> bool:
        """Whether a mistake in its code keeps a run from taking in anything, so that it cannot move by itself."""
        description = await self._handle(run).describe(rpc_timeout=RPC_TIMEOUT)
        return description.raw_description.pending_workflow_task.attempt >= _MISTAKEN

    async def replace(self, run: OpenRun) -> bool:
        """Let a new run take the place of one whose code is gone, with the memory that its history tells.

        Returns: whether it was done; not while an activity of the run is being worked on: ask again in a while.
        Raises: Unreadable, TemporalUnavailable, RPCError.
        """
        async with self._database.write() as session:
            row = await enrollments.begin_replacing(session, run.enrollment_id)
            known = row or await session.get(EnrollmentRow, run.enrollment_id)
        if known is None:
            raise Unreadable(f"the database has no enrollment {run.enrollment_id or 'for it'}")
        if row is None:
            with _unless_closed():
                await self._handle(run).terminate("the enrollment had ended", rpc_timeout=RPC_TIMEOUT)
            return True
        description = await self._handle(run).describe(rpc_timeout=RPC_TIMEOUT)
        if description.status is not WorkflowExecutionStatus.RUNNING:
            return True
        at_work = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        if any(activity.state == at_work for activity in description.raw_description.pending_activities):
            return False
        history = await self._handle(run).fetch_history(rpc_timeout=RPC_TIMEOUT)
        recollection = await recall(history, self._flows[run.flow].renamed, self._client.data_converter)
        if recollection.cancel_requested:
            async with self._database.write() as session:
                row = await enrollments.request_cancel(session, run.enrollment_id) or row
        await self._dispatcher.replace(row, recollection.memory)
        await self._dispatcher.catch_up(row)
        logger.info("run replaced", extra={"enrollment_id": run.enrollment_id, "from_build": run.build})
        return True

    def _handle(self, run: OpenRun) -> WorkflowHandle[object, object]:
        return self._client.get_workflow_handle(run.workflow_id, run_id=run.run_id)


@contextmanager
def _unless_closed() -> Iterator[None]:
    """A run that has closed meanwhile needs nothing any more."""
    try:
        yield
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
