"""How an approval goes on while people take their time, give it to others, or nobody is there to hear them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.approvals import AskForApproval, CloseApproval
from domain.flows import EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE
from domain.people import PersonProfile
from domain.questions import Answer, Choice, Decision, NudgeKind, Opened, Taken, question_id
from rehearsal.journey import MARTA, RAUL, ROSA, JourneyStarter
from store.tables import new_id, now
from tests.flows.specimens.board import BOARD, Board
from tests.flows.test_interleavings import interleaved
from tests.waiting import until

EVA = PersonProfile(email="eva@example.com", name="Eva", roles=["marketing"])
ADAM = PersonProfile(email="adam@example.com", name="Adam", roles=["marketing"])
TEAM = [ROSA, RAUL, MARTA, EVA, ADAM]


async def test_decisions_are_given_away_again_and_again_between_reminders(journey: JourneyStarter) -> None:
    async with journey(Board, people=TEAM) as j:
        await j.travel(hours=1)
        await j.delegate(EVA, by=ROSA)
        await j.travel(days=1)
        await j.delegate(ADAM, by=EVA)
        await j.travel(days=1)
        assert j.letters(ADAM).steps[-1].endswith("remind-1")
        await j.delegate(MARTA, by=RAUL)
        await j.travel(days=1)
        await j.approve(by=ADAM)
        await j.approve(by=MARTA)
        assert (await j.outcome()).step == "approved"
        assert not [step for step in j.letters(ROSA).steps + j.letters(EVA).steps if "remind" in step]


class Office:
    """Asks one person, and keeps what it was told to do."""

    def __init__(self) -> None:
        self.person = new_id()
        self.asked: list[AskForApproval] = []

    @activity.defn(name="approval.ask")
    async def ask(self, order: AskForApproval) -> Opened:
        self.asked.append(order)
        return Opened(asked=[self.person])

    @activity.defn(name="approval.close")
    async def close(self, order: CloseApproval) -> Decision:
        return Decision(outcome=order.outcome, content_hash=order.content_hash)

    @asynccontextmanager
    async def open(self, environment: WorkflowEnvironment) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for queue in (EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE):
                worker = Worker(environment.client, task_queue=queue, activities=[self.ask, self.close])
                await stack.enter_async_context(worker)
            yield


@pytest.mark.parametrize(("given_late", "outcome"), [(False, "approved"), (True, "expired")])
async def test_an_outage_makes_no_approval_wait_longer(
    temporal: WorkflowEnvironment, given_late: bool, outcome: str
) -> None:
    """Escalation and expiry fall due while no worker decides; so does an answer, in time or too late."""
    office = Office()
    times = {"escalate_after": timedelta(seconds=2), "expires_after": timedelta(seconds=3)}
    plan = BOARD.model_copy(update={"remind_every": None, **times})
    async with office.open(temporal), interleaved(temporal, "board", plan=plan.model_dump(mode="json")) as i:
        async with i.deciding():
            await i.reach("timer_started")
        asked_at = now()
        over = asked_at + times["expires_after"]
        await until(lambda: now() > over)
        (order,) = office.asked
        answer = Answer(
            id=new_id(),
            question_id=question_id(i.enrollment_id, f"{order.step}/{order.content_hash}"),
            person_id=office.person,
            choice=Choice.APPROVE,
            given_at=now() if given_late else asked_at,
        )
        told = asyncio.create_task(i.handle.execute_update("answer", answer, id=answer.id, result_type=Taken))
        await i.reach("timer_fired")
        async with i.deciding():
            assert (await i.handle.result()).step == outcome
            await asyncio.wait([told])
        assert (told.exception() is None) == (outcome == "approved")
        assert [order.why for order in office.asked] == [NudgeKind.ASK]
