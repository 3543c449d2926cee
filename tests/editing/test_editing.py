"""A flow is edited while contacts stand at every one of its steps."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from rehearsal.forecast import Fate
from tests.editing.fleet import CONTACTS, FLOW, Fleet
from tests.editing.tour_after import TourAfter, TourPinned
from tests.editing.tour_before import TourBefore
from tests.waiting import until
from workflows.builds import build_id

LOOP_1 = ["breath", "survey"]
LOOP_2 = [*LOOP_1, "note-1"]
LOOP_3 = [*LOOP_2, "note-2"]
ALL_LOOPS = [*LOOP_3, "note-3"]
LANDINGS = {
    "clicked": ("clicked", LOOP_1),
    "pause-1": ("pause-1", LOOP_1),
    "reply-1": ("answer-1", LOOP_2),
    "pause-2": ("pause-2", LOOP_2),
    "reply-2": ("answer-2", LOOP_3),
    "pause-3": ("pause-3", LOOP_3),
    "reply-3": ("answer-3", ALL_LOOPS),
    "day": ("goodbye", ALL_LOOPS),
    "rest": ("farewell-pause", ALL_LOOPS),
}
"""By the step that a contact rests at before the edit: where they come to first, and which steps they are past."""
RESTS_AFTERWARDS = {"goodbye": "farewell-pause"}


async def spread(fleet: Fleet) -> None:
    """Contacts rest at every wait; half of them came there by timers, half without leaving any in their history."""
    places = list(LANDINGS)
    for number in range(CONTACTS):
        pause = timedelta(milliseconds=20 * (number // len(places) % 2))
        await fleet.enroll(places[number % len(places)], pause)
    await fleet.at_rest()


@pytest.mark.parametrize("old_workers", ["still there", "gone"])
async def test_contacts_who_follow_an_edit_repeat_nothing_and_land_where_the_preview_said(
    fleet: Fleet, old_workers: str
) -> None:
    async with fleet.emailing():
        async with fleet.working(TourBefore):
            await spread(fleet)
            before = await fleet.messages()
            situation = await fleet.deployer(TourAfter).look(FLOW)
        old = build_id(TourBefore)
        versions = [TourBefore, TourAfter] if old_workers == "still there" else [TourAfter]
        gone = [] if old_workers == "still there" else [old]

        told = {forecast.run.enrollment_id: forecast for forecast in situation.forecasts}
        assert len(told) == CONTACTS
        for row in fleet.rows:
            landing, skips = LANDINGS[str(row.settings["rests_at"])]
            forecast = told[row.id]
            assert forecast.landing is not None, forecast.reason
            assert (forecast.landing.step, list(forecast.skips)) == (landing, skips), row.settings
            gone_from_code = landing in ("goodbye", "farewell-pause")
            assert forecast.fate is (Fate.GOES_ON if gone_from_code else Fate.MOVES)

        async with fleet.working(*versions):
            rolled = await fleet.deployer(TourAfter).carry_out(situation, gone=gone)
            assert rolled is not None
            assert (rolled.behind_at_first, rolled.moved, rolled.left) == (CONTACTS, CONTACTS, {})
            resting = [RESTS_AFTERWARDS.get(step, step) for step, _ in LANDINGS.values()]
            await fleet.come_to({row.id: resting[index % len(resting)] for index, row in enumerate(fleet.rows)})
            for row, progress in zip(fleet.rows, await fleet.progress(fleet.rows), strict=True):
                assert progress.skipped == LANDINGS[str(row.settings["rests_at"])][1]
            await fleet.come_to_builds({build_id(TourAfter): CONTACTS})
            after = await fleet.messages()
            for row in fleet.rows:
                new = ["goodbye"] if row.settings["rests_at"] == "day" else []
                assert after[row.id] == before[row.id] + new
            await fleet.all_buy()
        assert await fleet.exits() == {"goal": CONTACTS}


async def test_pinned_contacts_stay_and_finish_on_the_version_that_they_started_with(fleet: Fleet) -> None:
    async with fleet.emailing(), fleet.working(TourBefore, TourPinned):
        await spread(fleet)
        before = await fleet.messages()
        deployer = fleet.deployer(TourPinned)
        situation = await deployer.look(FLOW)
        assert Counter(forecast.fate for forecast in situation.forecasts) == {Fate.STAYS: CONTACTS}
        assert await deployer.carry_out(situation) is None
        newcomer = await fleet.enroll("breath")
        await fleet.come_to({newcomer.id: "breath"})
        await fleet.come_to_builds({build_id(TourBefore): CONTACTS, build_id(TourPinned): 1})
        asked = [row for row in fleet.rows if row.settings["rests_at"] == "reply-1"]
        for row in asked:
            await fleet.happens(row, "replied")
        await until(lambda: fleet.have_ended(asked))
        assert await fleet.messages() == {**before, newcomer.id: []}
        await fleet.all_buy()
    assert await fleet.exits() == {"completed": len(asked), "goal": CONTACTS + 1 - len(asked)}
