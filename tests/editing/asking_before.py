"""A flow that asks people and looks at the clock where the contact is, as it was when contacts entered it."""

from __future__ import annotations

from datetime import time, timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.questions import ApprovalPlan, Asked, Stage
from workflows.flow import Flow

BOTH = ApprovalPlan(
    stages=(Stage(asks=(Asked(role="sales_manager"),), needs="all"), Stage(asks=(Asked(role="marketing"),))),
    expires_after=timedelta(days=3),
)


@workflow.defn(name="tour")
class AskingBefore(Flow[FlowSettings]):
    about = FlowType(
        title="Asking",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        decision = await self.ask("approve", "A discount", plan=BOTH, facts={"percent": 30})
        await self.note("decided", decision.outcome)
        call = await self.task("call", "Call them", to=Asked(role="marketing"), due=timedelta(days=2))
        await self.note("called", call.status)
        await self.wait_for_local_time("morning", time(9, 30))
        self.finish("awake")
