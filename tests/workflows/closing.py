"""The result of a workflow on Temporal's time-skipping server."""

from __future__ import annotations

from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from tests.waiting import until


async def result_of(handle: WorkflowHandle[Any, Any]) -> Any:
    """Asked for a result at the moment at which a run ends, the server may miss the end, and answer nothing."""

    async def closed() -> bool:
        return (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING

    await until(closed)
    return await handle.result()
