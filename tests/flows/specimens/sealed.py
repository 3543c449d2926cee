"""A flow that leaves something of every kind in its history: changes, waits, events, answers, holds and a failure."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.questions import ApprovalPlan, Asked, Stage
from workflows.flow import Flow

MANAGERS = ApprovalPlan(stages=(Stage(asks=(Asked(role="sales_manager"),)),), remind_every=None)


class SealedSettings(FlowSettings):
    word: str = ""


@workflow.defn(name="sealed")
class Sealed(Flow[SealedSettings]):
    about = FlowType(
        title="Nothing that is said here is for everybody",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="the archive",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"clicked"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.note("written", self.settings.word)
        await self.happened("clicked", within=timedelta(days=3))
        decision = await self.ask("discount", "A discount", plan=MANAGERS, facts={"percent": 30})
        for _ in range(2):  # the second time it fails: no step comes twice
            await self.note("noted", decision.outcome)
