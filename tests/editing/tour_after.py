"""The same flow, edited: steps inserted at the top and in the loop, removed, renamed, and given another time."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, FlowType, Goal, OnEdit, Outcome
from tests.editing.tour_before import TourSettings
from workflows.flow import Flow


@workflow.defn(name="tour")
class TourAfter(Flow[TourSettings]):
    about = FlowType(
        title="A tour",
        goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
        owner="marketing",
        on_edit=OnEdit.FOLLOW,
        renamed={"case-study": "story", "reply-{week}": "answer-{week}"},
        listens=frozenset({"clicked", "replied"}),
    )

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    def limit(self, step: str) -> timedelta:
        return timedelta(days=2) if step == self.settings.rests_at else self.settings.elsewhere

    async def journey(self) -> None:
        await self.wait("breath", timedelta(days=3))
        await self.send("survey")
        await self.send("welcome")
        if await self.happened("clicked", within=self.limit("clicked")):
            await self.send("story")
        else:
            await self.send("reminder")
        for week in (1, 2, 3):
            await self.wait(f"pause-{week}", self.limit(f"pause-{week}"))
            await self.send(f"note-{week}", "note")
            await self.send(f"tip-{week}", "tip")
            if await self.happened(f"answer-{week}", event="replied", within=self.limit(f"reply-{week}")):
                self.finish("replied")
        await self.send("goodbye")
        await self.wait("rest", timedelta(0))
        await self.wait("farewell-pause", timedelta(days=4))
        self.finish("rested")


@workflow.defn(name="tour")
class TourPinned(TourAfter):
    about = TourAfter.about.model_copy(update={"on_edit": OnEdit.PIN})

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()
