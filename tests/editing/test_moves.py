"""What happens to contacts at the very moment that they move."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from cli.failures import CommandFailed
from domain.flows import Enrollment
from domain.memory import Memory
from domain.messages import EmailMessage, Receipt
from integrations.outbox.mailer import OutboxMailer
from rehearsal.forecast import Fate
from runtime.deployments import Deployments
from runtime.in_turns import in_turns
from runtime.moving import open_runs
from runtime.recall import recall
from runtime.sweep import Sweep
from store import enrollments
from store.tables import now
from tests.editing.fleet import FLOW, Fleet
from tests.editing.tour_after import TourAfter, TourPinned
from tests.editing.tour_before import TourBefore
from tests.editing.tour_broken import TourBroken
from tests.waiting import until
from workflows.builds import build_id

OLD, NEW = build_id(TourBefore), build_id(TourAfter)


class Gated(OutboxMailer):
    """Does not answer before the gate is open."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.settings.outbox_folder)
        self.gate = threading.Event()
        self.reached = threading.Event()

    def send(self, message: EmailMessage) -> Receipt:
        self.reached.set()
        self.gate.wait(60)
        return super().send(message)


@pytest.mark.parametrize("gone", [False, True], ids=["old workers still there", "old workers gone"])
async def test_an_event_that_arrives_during_the_move_is_answered_once(fleet: Fleet, gone: bool) -> None:
    async with fleet.emailing():
        async with fleet.working(TourBefore):
            for _ in range(8):
                await fleet.enroll("clicked")
            await fleet.at_rest()
        async with fleet.working(*([TourAfter] if gone else [TourBefore, TourAfter])):
            deployer = fleet.deployer(TourAfter)
            situation = await deployer.look(FLOW)
            rolled, *_ = await asyncio.gather(
                deployer.carry_out(situation, gone=[OLD] if gone else []),
                in_turns(lambda row: fleet.happens(row, "clicked"), fleet.rows),
            )
            assert rolled is not None
            assert not rolled.left

            async def everybody_has_the_story() -> bool:
                sent = await fleet.messages()
                return all("story" in steps or "case-study" in steps for steps in sent.values())

            await until(everybody_has_the_story)
            for steps in (await fleet.messages()).values():
                assert steps[0] == "welcome"
                assert steps.count("story") + steps.count("case-study") == 1
                assert "reminder" not in steps
            await fleet.all_buy()
        exits = await fleet.exits()
        assert exits["goal"] + exits["completed"] == 8


async def test_what_a_crash_in_the_middle_of_a_replacement_leaves_the_sweep_finishes(fleet: Fleet) -> None:
    async with fleet.emailing():
        async with fleet.working(TourBefore):
            row = await fleet.enroll("clicked")
            await fleet.at_rest()
        async with fleet.working(TourAfter):
            (run,) = [run async for run in open_runs(fleet.client, FLOW)]
            async with fleet.database.write() as session:
                replaced = await enrollments.begin_replacing(session, row.id)
            assert replaced is not None
            handle = fleet.client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
            memory = (await recall(await handle.fetch_history(), {})).memory
            await fleet.happens(row, "clicked")
            await Deployments(fleet.client).make_current(FLOW, NEW)
            await fleet.dispatcher.replace(replaced, memory)
            await fleet.come_to({row.id: "clicked"})
            swept = await Sweep(fleet.dispatcher).run(grace=timedelta(0), closed_since=now() - timedelta(hours=1))
            assert swept["enrollments_caught_up"] == 1
            assert swept["outcomes_recorded"] == 0, "its first run was terminated, and the enrollment lives on"

            async def has_the_story() -> bool:
                return "story" in (await fleet.messages())[row.id]

            await until(has_the_story)
            again = await Sweep(fleet.dispatcher).run(grace=timedelta(0), closed_since=now() - timedelta(hours=1))
            assert again["enrollments_caught_up"] == 0


@pytest.mark.parametrize("exit_", ["cancelled", "unsubscribed", "goal"])
async def test_an_exit_that_no_worker_has_heard_of_ends_the_enrollment_after_its_move(fleet: Fleet, exit_: str) -> None:
    async with fleet.emailing():
        async with fleet.working(TourBefore):
            row = await fleet.enroll("clicked")
            await fleet.at_rest()
        if exit_ == "cancelled":
            await fleet.client.get_workflow_handle(f"{FLOW}:{row.contact_id}").cancel()
        else:
            await fleet.happens(row, {"goal": "bought"}.get(exit_, exit_))
        async with fleet.working(TourAfter):
            deployer = fleet.deployer(TourAfter)
            await deployer.carry_out(await deployer.look(FLOW), gone=[OLD])
            await until(lambda: fleet.have_ended([row]))
        assert await fleet.exits() == {exit_: 1}
        assert (await fleet.messages())[row.id] == ["welcome"]


async def test_a_message_that_is_on_its_way_goes_out_once_and_the_contact_moves_after_it(fleet: Fleet) -> None:
    mailer = Gated(fleet)
    async with fleet.emailing(mailer), fleet.working(TourBefore, TourAfter):
        row = await fleet.enroll("clicked")
        await until(mailer.reached.is_set)
        deployer = fleet.deployer(TourAfter)
        situation = await deployer.look(FLOW)
        assert [forecast.step for forecast in situation.forecasts] == ["welcome"]
        moving = asyncio.create_task(deployer.carry_out(situation))

        async def asked() -> bool:
            handle = fleet.client.get_workflow_handle(f"{FLOW}:{row.contact_id}")
            events = (await handle.fetch_history()).events
            return any(event.HasField("workflow_execution_signaled_event_attributes") for event in events)

        await until(asked)
        mailer.gate.set()
        rolled = await moving
        assert rolled is not None
        await fleet.come_to({row.id: "clicked"})
        await fleet.come_to_builds({NEW: 1})
        assert (await fleet.messages())[row.id] == ["welcome"]


async def test_a_run_whose_message_is_being_sent_is_not_replaced_meanwhile(fleet: Fleet) -> None:
    mailer = Gated(fleet)
    async with fleet.emailing(mailer):
        async with fleet.working(TourBefore):
            row = await fleet.enroll("clicked")
            await until(mailer.reached.is_set)
        async with fleet.working(TourAfter):
            deployer = fleet.deployer(TourAfter)
            moving = asyncio.create_task(deployer.carry_out(await deployer.look(FLOW), gone=[OLD]))
            await until(lambda: fleet.is_being_replaced(row))
            mailer.gate.set()
            assert await moving is not None
            await fleet.come_to({row.id: "clicked"})
        assert (await fleet.messages())[row.id] == ["welcome"]
        assert len(list(fleet.settings.outbox_folder.glob("*.eml"))) == 1


async def test_a_rollback_takes_contacts_back_without_repeating_anything(fleet: Fleet) -> None:
    async with fleet.emailing(), fleet.working(TourBefore, TourAfter):
        for place in ("clicked", "pause-2", "reply-3", "day"):
            await fleet.enroll(place)
        await fleet.at_rest()
        deployer = fleet.deployer(TourAfter)
        await deployer.carry_out(await deployer.look(FLOW))
        places = ("clicked", "pause-2", "answer-3", "farewell-pause")
        await fleet.come_to(dict(zip((row.id for row in fleet.rows), places, strict=True)))
        sent = await fleet.messages()
        build, rolled = await deployer.roll_back(FLOW)
        assert build == OLD
        assert rolled is not None
        assert rolled.moved == 4
        *going_on, at_the_end = fleet.rows
        await fleet.come_to(dict(zip((row.id for row in going_on), ("clicked", "pause-2", "reply-3"), strict=True)))
        await until(lambda: fleet.have_ended([at_the_end]))
        assert await fleet.messages() == sent
        await deployer.carry_out(await deployer.look(FLOW))
        await fleet.come_to(dict(zip((row.id for row in going_on), places[:3], strict=True)))
        assert await fleet.messages() == sent


async def test_a_ramp_moves_a_share_and_its_end_takes_it_back(fleet: Fleet) -> None:
    async with fleet.emailing(), fleet.working(TourBefore, TourAfter):
        for _ in range(16):
            await fleet.enroll("clicked")
        await fleet.at_rest()
        deployer = fleet.deployer(TourAfter)
        rolled = await deployer.ramp(await deployer.look(FLOW), 50)
        assert rolled is not None
        assert 0 < rolled.moved < 16
        await fleet.come_to_builds({OLD: 16 - rolled.moved, NEW: rolled.moved})
        build, back = await deployer.roll_back(FLOW)
        assert build == OLD
        assert back is not None
        await fleet.come_to_builds({OLD: 16})
        await fleet.at_rest()
        assert set(map(tuple, (await fleet.messages()).values())) == {("welcome",)}


async def test_code_that_fails_is_told_beforehand_and_nobody_is_moved_to_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.deploy._REGISTERS_WITHIN", timedelta(seconds=1))
    async with fleet.emailing(), fleet.working(TourBefore):
        await fleet.enroll("clicked")
        await fleet.at_rest()
        deployer = fleet.deployer(TourBroken)
        (forecast,) = (await deployer.look(FLOW)).forecasts
        assert forecast.fate is Fate.CANNOT
        assert forecast.step == "clicked"
        assert "KeyError" in str(forecast.reason)
        with pytest.raises(CommandFailed, match=f"no worker runs tour .* {build_id(TourBroken)}"):
            await deployer.carry_out(await deployer.look(FLOW))
        await fleet.at_rest()


async def test_contacts_pinned_to_code_that_is_gone_wait_for_it_or_are_moved_on_request(fleet: Fleet) -> None:
    async with fleet.emailing():
        async with fleet.working(TourBefore):
            row = await fleet.enroll("pause-2")
            await fleet.at_rest()
        async with fleet.working(TourPinned):
            deployer = fleet.deployer(TourPinned)
            situation = await deployer.look(FLOW, hosted=[build_id(TourPinned)])
            (forecast,) = situation.forecasts
            assert forecast.fate is Fate.CANNOT
            assert "cauce worker --only tour" in str(forecast.reason)
            assert await deployer.carry_out(situation) is None
            situation = await deployer.look(FLOW, move_pinned=True, hosted=[build_id(TourPinned)])
            assert [forecast.fate for forecast in situation.forecasts] == [Fate.MOVES]
            rolled = await deployer.carry_out(situation, move_pinned=True, gone=[OLD])
            assert rolled is not None
            assert rolled.moved == 1
            await fleet.come_to({row.id: "pause-2"})


async def test_contacts_whom_a_mistake_has_stopped_are_moved_to_the_code_that_mends_it(fleet: Fleet) -> None:
    async with fleet.emailing(), fleet.working(TourBroken):
        row = await fleet.enroll("pause-1")

        async def has_failed() -> bool:
            handle = fleet.client.get_workflow_handle(f"{FLOW}:{row.contact_id}")
            return (await handle.describe()).raw_description.pending_workflow_task.attempt >= 2

        await until(has_failed)
        async with fleet.working(TourBefore):
            deployer = fleet.deployer(TourBefore)
            rolled = await deployer.carry_out(await deployer.look(FLOW))
            assert rolled is not None
            assert rolled.moved == 1
            await fleet.come_to({row.id: "pause-1"})
        assert (await fleet.messages())[row.id] == ["welcome", "reminder"]


async def test_the_memory_that_a_history_tells_is_the_one_that_its_run_hands_over(fleet: Fleet) -> None:
    """Of contacts at each kind of step, by timers or without, some with events that no wait has taken."""
    renamed = TourAfter.about.renamed
    async with fleet.emailing(), fleet.working(TourBefore, TourAfter):
        for place in ("clicked", "pause-1", "reply-1", "pause-3", "day", "rest"):
            for elsewhere in (timedelta(0), timedelta(milliseconds=20)):
                await fleet.enroll(place, elsewhere)
        await fleet.at_rest()
        for row in fleet.rows:
            if row.settings["rests_at"] in ("pause-1", "day"):
                await fleet.happens(row, "replied")
                await fleet.happens(row, "clicked")
        runs = [run async for run in open_runs(fleet.client, FLOW)]
        told: dict[str, Memory] = {}
        for run in runs:
            history = await fleet.client.get_workflow_handle(run.workflow_id, run_id=run.run_id).fetch_history()
            told[run.enrollment_id] = (await recall(history, renamed)).memory
        deployer = fleet.deployer(TourAfter)
        await deployer.carry_out(await deployer.look(FLOW))
        for row in fleet.rows:
            handle = fleet.client.get_workflow_handle(f"{FLOW}:{row.contact_id}")
            started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
            (enrollment,) = await fleet.client.data_converter.decode(started.input.payloads, [Enrollment])
            assert_same(enrollment.memory, told[row.id])


def assert_same(memory: Memory, other: Memory) -> None:
    """But for moments, which the server has in nanoseconds, and which are not rounded alike."""
    assert memory.model_dump(exclude={"entered_at", "waiting"}) == other.model_dump(exclude={"entered_at", "waiting"})
    assert (list(memory.finished), list(memory.waiting)) == (list(other.finished), list(other.waiting))
    for step, since in memory.waiting.items():
        assert abs(since - other.waiting[step]) < timedelta(milliseconds=1)
    assert abs(memory.entered_at - other.entered_at) < timedelta(milliseconds=1)
