"""The same flow after an edit: a step inserted at the top, and the approval renamed."""

from __future__ import annotations

from datetime import time, timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.questions import Asked
from tests.editing.asking_before import BOTH
from workflows.flow import Flow


@workflow.defn(name="tour")
class AskingAfter(Flow[FlowSettings]):
    about = FlowType(
        title="Asking",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        renamed={"approve": "approve-discount"},
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.note("inserted", "Only for those who enter now")
        decision = await self.ask("approve-discount", "A discount", plan=BOTH, facts={"percent": 30})
        await self.note("decided", decision.outcome)
        call = await self.task("call", "Call them", to=Asked(role="marketing"), due=timedelta(days=2))
        await self.note("called", call.status)
        await self.wait_for_local_time("morning", time(9, 30))
        self.finish("awake")
