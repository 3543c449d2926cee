"""A broadcast that continues as new before long. In a module of its own: the sandbox imports it anew."""

from __future__ import annotations

from temporalio import workflow

from activities.broadcast_orders import BatchDone
from workflows.lists.broadcast import BroadcastRun, BroadcastWorkflow


@workflow.defn(name="broadcast")
class ShortBroadcasts(BroadcastWorkflow):
    batches_a_run = 3

    @workflow.run
    async def run(self, state: BroadcastRun) -> BatchDone:
        return await super().run(state)
