"""Moves that something disturbs: workers that are gone, another deploy, a way back."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cli.failures import CommandFailed
from runtime.deployments import Deployments
from runtime.dispatch import Dispatcher
from runtime.rollout import Overtaken
from tests.editing.fleet import FLOW, Fleet
from tests.editing.test_moves import NEW, OLD, Gated
from tests.editing.tour_after import TourAfter
from tests.editing.tour_before import TourBefore
from tests.editing.tour_shorter import TourShorter
from tests.waiting import until


async def test_a_version_whose_workers_are_gone_is_not_made_current(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes it: it asks only whether a worker of it was ever there. Then nobody goes on."""

    async def polled(self: Deployments, flow: str) -> dict[str, timedelta]:
        return {OLD: timedelta(0), NEW: timedelta(minutes=2)}

    async with fleet.emailing(), fleet.working(TourBefore):
        row = await fleet.enroll("clicked")
        await fleet.at_rest()
        async with fleet.working(TourAfter):

            async def known() -> bool:
                return NEW in (await Deployments(fleet.client).of(FLOW)).known

            await until(known)
        monkeypatch.setattr(Deployments, "polled", polled)
        monkeypatch.setattr("cli.deploy._REGISTERS_WITHIN", timedelta(seconds=1))
        deployer = fleet.deployer(TourAfter)
        situation = await deployer.look(FLOW)
        async with asyncio.timeout(30):
            with pytest.raises(CommandFailed, match="no worker runs tour"):
                await deployer.carry_out(situation)
        await fleet.happens(row, "bought")
        await until(lambda: fleet.have_ended([row]), within=10)


async def test_a_deploy_that_another_overtakes_comes_to_an_end(fleet: Fleet) -> None:
    mailer = Gated(fleet)
    async with fleet.emailing(mailer), fleet.working(TourBefore, TourAfter):
        await fleet.enroll("clicked")
        await until(mailer.reached.is_set)
        deployer, other = fleet.deployer(TourAfter), fleet.deployer(TourBefore)
        moving = asyncio.create_task(deployer.carry_out(await deployer.look(FLOW)))

        async def begun() -> bool:
            return (await Deployments(fleet.client).of(FLOW)).current == NEW

        await until(begun)
        await other.carry_out(await other.look(FLOW))
        mailer.gate.set()
        async with asyncio.timeout(30):
            with pytest.raises(Overtaken):
                await moving


async def test_an_event_that_only_the_new_code_listens_for_is_heard_though_it_came_before_the_move(
    fleet: Fleet,
) -> None:
    """The API runs the new code already, and marks the event as delivered."""
    async with fleet.emailing(), fleet.working(TourBefore, TourShorter):
        row = await fleet.enroll("clicked")
        await fleet.at_rest()
        fleet.dispatcher = Dispatcher(fleet.database, fleet.client, {FLOW: TourShorter.about})
        await fleet.happens(row, "opened")
        deployer = fleet.deployer(TourShorter)
        situation = await deployer.look(FLOW)
        (forecast,) = situation.forecasts
        assert forecast.landing is not None
        assert forecast.landing.step == "tip"
        await deployer.carry_out(situation)
        async with asyncio.timeout(20):
            await fleet.come_to({row.id: "reply-1"})


async def test_a_rollback_takes_nobody_back_to_a_wait_that_they_had_left(fleet: Fleet) -> None:
    async with fleet.emailing(), fleet.working(TourBefore, TourShorter):
        row = await fleet.enroll("pause-1")
        await fleet.at_rest()
        deployer = fleet.deployer(TourShorter)
        await deployer.carry_out(await deployer.look(FLOW))
        await fleet.come_to({row.id: "reply-1"})
        await deployer.roll_back(FLOW)

        # On the old code all that is left takes no time, but a day at pause-1 for whoever were taken back to it.
        await until(lambda: fleet.have_ended([row]))


async def test_a_ramp_ends_though_old_workers_are_gone(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.rollout._ANSWERED_WITHIN", timedelta(seconds=2))
    async with fleet.emailing():
        async with fleet.working(TourBefore):
            await fleet.enroll("clicked")
            await fleet.at_rest()
        async with fleet.working(TourAfter):
            deployer = fleet.deployer(TourAfter)
            async with asyncio.timeout(60):
                rolled = await deployer.ramp(await deployer.look(FLOW), 50)
            assert rolled is not None
            assert (rolled.behind_at_first, rolled.moved) == (1, 0)
