"""A flow of every shape, as it was when contacts entered it: questions, a loop, waits of each kind, ends."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowSettings, FlowType, Goal, OnEdit, Outcome
from domain.limits import Duration
from workflows.flow import Flow


class TourSettings(FlowSettings):
    rests_at: str = ""
    """The wait that takes a day; the others take `elsewhere`."""
    elsewhere: Duration = timedelta(0)


@workflow.defn(name="tour")
class TourBefore(Flow[TourSettings]):
    about = FlowType(
        title="A tour",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        listens=frozenset({"clicked", "replied"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    def limit(self, step: str) -> timedelta:
        return timedelta(days=1) if step == self.settings.rests_at else self.settings.elsewhere

    async def journey(self) -> None:
        await self.send("welcome")
        if await self.happened("clicked", within=self.limit("clicked")):
            await self.send("case-study")
        else:
            await self.send("reminder")
        for week in (1, 2, 3):
            await self.wait(f"pause-{week}", self.limit(f"pause-{week}"))
            await self.send(f"tip-{week}", "tip")
            if await self.happened(f"reply-{week}", event="replied", within=self.limit(f"reply-{week}")):
                self.finish("replied")
        await self.wait_until("day", self.entered_at + self.limit("day"))
        await self.send("goodbye")
        await self.wait("rest", self.limit("rest"))
        self.finish("rested")
