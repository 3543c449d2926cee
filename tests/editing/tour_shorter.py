"""The flow of before with a wait removed, and a question asked that the code before did not listen for. No tests."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from domain.flows import Enrollment, Outcome
from tests.editing.tour_before import TourBefore


@workflow.defn(name="tour")
class TourShorter(TourBefore):
    about = TourBefore.about.model_copy(update={"listens": frozenset({"clicked", "replied", "opened"})})

    @workflow.run
    async def run(self, enrollment: Enrollment) -> Outcome:
        return await self.conduct()

    async def journey(self) -> None:
        await self.send("welcome")
        if await self.happened("opened", within=self.limit("clicked")):
            await self.send("tip")
        await self.send("tip-1", "tip")
        await self.wait("reply-1", timedelta(days=1))
