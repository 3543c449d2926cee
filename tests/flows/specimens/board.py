"""A spending that a board decides on, reminded and escalated."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.questions import ApprovalPlan, Asked, Stage
from workflows.flow import Flow

BOARD = ApprovalPlan(
    stages=(Stage(asks=(Asked(role="sales"),), needs="all"),),
    remind_every=timedelta(days=2),
    escalate_after=timedelta(days=3),
    escalate_to=Asked(role="sales_manager"),
    expires_after=timedelta(days=7),
)


class BoardSettings(FlowSettings):
    plan: ApprovalPlan = BOARD


@workflow.defn(name="board")
class Board(Flow[BoardSettings]):
    about = FlowType(
        title="A spending that a board decides on",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        decision = await self.ask("spend", "A spending", plan=self.settings.plan, facts={"euros": 5000})
        self.finish(decision.outcome)
