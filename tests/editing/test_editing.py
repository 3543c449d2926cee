"""A flow is edited while contacts stand at every one of its steps."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from rehearsal.forecast import Fate
from runtime.moving import open_runs
from runtime.temporal import CONTACT_ID
from store.database import Database
from tests.conftest import SCRIPTS
from tests.editing.fleet import FLOW, Fleet
from tests.editing.tour_after import TourAfter
from tests.editing.tour_before import TourBefore
from workflows.builds import build_id

CONTACTS = int(os.environ.get("CAUCE_TEST_CONTACTS", "110"))
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


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    """On a server of its own: its deployments are the test's."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(SCRIPTS / "temporal"),
        search_attributes=[CONTACT_ID],
        data_converter=pydantic_data_converter,
        dev_server_log_level="error",
    ) as environment:
        yield Fleet(environment.client, database, tmp_path)


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
            runs = [run async for run in open_runs(fleet.client, FLOW)]
            assert Counter(run.build for run in runs) == {build_id(TourAfter): CONTACTS}
            after = await fleet.messages()
            for row in fleet.rows:
                new = ["goodbye"] if row.settings["rests_at"] == "day" else []
                assert after[row.id] == before[row.id] + new
            await fleet.all_buy()
        assert await fleet.exits() == {"goal": CONTACTS}
