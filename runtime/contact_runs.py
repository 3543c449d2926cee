"""All runs of a contact in Temporal: told that they are erased, ended, deleted with their histories."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from sqlmodel import col, select
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client

from domain.erasure import ENDED_FROM_OUTSIDE
from domain.events import ERASED
from domain.flows import Exit, Outcome, enrollment_workflow_id
from runtime.dispatch import Dispatcher
from runtime.runs import RunGone, reaching_temporal
from runtime.temporal import CONTACT_ID, RPC_TIMEOUT
from store import enrollments
from store.database import Database
from store.tables import EventRow


class TemporalRuns:
    """As `domain.erasure.ContactRuns`. `flows` are those of the code: of others the server's list tells."""

    def __init__(self, client: Client, database: Database, dispatcher: Dispatcher, flows: Collection[str]) -> None:
        self._client = client
        self._database = database
        self._dispatcher = dispatcher
        self._flows = flows

    async def tell_to_leave(self, contact_id: str) -> None:
        async with self._database.read() as session:
            query = select(EventRow).where(EventRow.contact_id == contact_id, EventRow.name == ERASED)
            events = list(await session.exec(query.where(col(EventRow.delivered_at).is_(None))))
        for event in events:
            await self._dispatcher.deliver(event)

    async def end(self, contact_id: str) -> None:
        async with self._database.read() as session:
            active = await enrollments.active_enrollments(session, contact_id)
        for row in active:
            run = self._client.get_workflow_handle(enrollment_workflow_id(row.flow, contact_id))
            with suppress(RunGone), reaching_temporal():
                await run.terminate("the contact is being erased", rpc_timeout=RPC_TIMEOUT)
            outcome = Outcome(exit=Exit.ERASED, step=None, reason=ENDED_FROM_OUTSIDE)
            async with self._database.write() as session:
                await enrollments.record_outcome(session, row.id, outcome)

    async def delete(self, contact_id: str) -> frozenset[str]:
        runs = await self._listed(contact_id) | await self._newest(contact_id)
        for run in runs:
            with suppress(RunGone), reaching_temporal():
                await self._client.workflow_service.delete_workflow_execution(
                    DeleteWorkflowExecutionRequest(
                        namespace=self._client.namespace,
                        workflow_execution=WorkflowExecution(workflow_id=run[0], run_id=run[1]),
                    ),
                    timeout=RPC_TIMEOUT,
                )
        return frozenset(run_id for _, run_id in runs)

    async def _listed(self, contact_id: str) -> set[tuple[str, str]]:
        """All of the chain, closed ones too, in whatever flow: as far as the server's list has come."""
        query = f"{CONTACT_ID.name} = '{contact_id}'"
        with reaching_temporal():
            return {(run.id, run.run_id) async for run in self._client.list_workflows(query, rpc_timeout=RPC_TIMEOUT)}

    async def _newest(self, contact_id: str) -> set[tuple[str, str]]:
        """The latest run in each flow, which the server knows before its list does."""
        found = set()
        for flow in self._flows:
            with suppress(RunGone), reaching_temporal():
                run = self._client.get_workflow_handle(enrollment_workflow_id(flow, contact_id))
                found.add((run.id, (await run.describe(rpc_timeout=RPC_TIMEOUT)).run_id))
        return found
