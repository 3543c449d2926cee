"""A flow that does nothing but be held: what a run is told of holds, and in which order."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowType, Goal, OnEdit, Progress

ABOUT = FlowType(
    title="Nothing",
    goal=Goal(event="bought", target=0.5, within=timedelta(days=1)),
    owner="tests",
    on_edit=OnEdit.FOLLOW,
)


@workflow.defn(name="holdable")
class Holdable:
    @workflow.init
    def __init__(self, enrollment: Enrollment) -> None:
        self._held = enrollment.held
        self._told = ["began held"] if enrollment.held else []
        self._over = False

    @workflow.run
    async def run(self, enrollment: Enrollment) -> None:
        await workflow.wait_condition(lambda: self._over)

    @workflow.update
    def hold(self) -> Progress:
        self._held = True
        self._told.append("hold")
        return Progress(held=True)

    @workflow.update
    def resume(self) -> Progress:
        self._held = False
        self._told.append("resume")
        return Progress()

    @workflow.query
    def told(self) -> list[str]:
        return self._told


@workflow.defn(name="holdable")
class WithoutHolds:
    """The same flow in code that is older than holds are."""

    @workflow.run
    async def run(self, enrollment: Enrollment) -> None:
        await workflow.wait_condition(lambda: False)
