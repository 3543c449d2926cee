"""The same flow after another edit: what is asked for is dearer."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.questions import Asked
from tests.editing.asking_before import BOTH
from workflows.flow import Flow


@workflow.defn(name="tour")
class AskingDearer(Flow[FlowSettings]):
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
        decision = await self.ask("approve", "A discount", plan=BOTH, facts={"percent": 40})
        await self.note("decided", decision.outcome)
        await self.task("call", "Call them", to=Asked(role="marketing"), due=timedelta(days=2))
        self.finish("called")
