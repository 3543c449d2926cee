"""Histories of a specimen, replayed on edits of it: what is still safe, who is carried where, and what failures say."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rehearsal.replaying import Fate, Recorded, Verdict, replay
from tests.flows.specimens import nurturing
from tests.flows.specimens.nurturing import Nurturing
from tests.rehearsal import fair
from workflows.builds import build_id
from workflows.discovery import FlowClass

Edit = Callable[..., FlowClass]


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """A specimen with one text put in place of another."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def edit(old: str, new: str, module: ModuleType = nurturing) -> FlowClass:
        source = Path(str(module.__file__)).read_text()
        assert old in source
        own = module.__name__.rpartition(".")[2]
        name = f"edited_{own}_{tmp_path.name}_{len(names)}".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(source.replace(old, new))
        importlib.invalidate_caches()
        names.append(name)
        flow: FlowClass = getattr(importlib.import_module(name), own.capitalize())
        return flow

    yield edit
    for name in names:
        del sys.modules[name]


async def verdicts(histories: list[Recorded], flow: FlowClass) -> dict[str, Verdict]:
    return {recorded.name: await replay(recorded, flow) for recorded in histories}


def as_at_hand(recorded: Recorded, flow: FlowClass) -> Recorded:
    """As if the edit had not changed the build id: a change of what it does not cover."""
    return Recorded(recorded.flow, build_id(flow), recorded.path)


def named(histories: list[Recorded], name: str) -> Recorded:
    return next(recorded for recorded in histories if recorded.name == name)


async def test_what_was_recorded_replays_on_the_code_that_it_was_recorded_on(of_nurturing: list[Recorded]) -> None:
    assert {verdict.fate for verdict in (await verdicts(of_nurturing, Nurturing)).values()} == {Fate.REPLAYS}


async def test_an_edit_carries_contacts_to_their_step(of_nurturing: list[Recorded], edited: Edit) -> None:
    flow = edited('        await self.send("guide")\n', '        await self.send("intro", "guide")\n')
    found = await verdicts(of_nurturing, flow)
    assert (found["waiting-pause-2"].fate, found["waiting-pause-2"].told) == (Fate.CARRIED, "to pause-2")
    assert found["waiting-clicked"].told == "to clicked"
    assert found["finished"].fate is Fate.OVER


async def test_a_contact_in_a_wait_that_is_gone_is_carried_on(of_nurturing: list[Recorded], edited: Edit) -> None:
    flow = edited('            await self.wait(f"pause-{week}", self.settings.pause)\n', "")
    assert (await verdicts(of_nurturing, flow))["waiting-pause-1"].told == "to reminder-1"


async def test_a_longer_wait_leaves_everybody_where_they_are(of_nurturing: list[Recorded], edited: Edit) -> None:
    found = await verdicts(of_nurturing, edited("within=timedelta(days=3)):\n", "within=timedelta(days=5)):\n"))
    assert found["waiting-clicked"].fate is Fate.REPLAYS
    assert (found["waiting-two-months"].fate, found["waiting-two-months"].told) == (Fate.CARRIED, "to two-months")
    assert Fate.STUCK not in {verdict.fate for verdict in found.values()}


async def test_code_that_fails_with_a_contacts_memory_is_told_with_risk_and_ways_out(
    of_nurturing: list[Recorded], edited: Edit
) -> None:
    flow = edited("        for week in", '        raise KeyError("plan")\n        for week in')
    stuck = (await verdicts(of_nurturing, flow))["waiting-pause-2"]
    version = build_id(Nurturing)
    assert stuck.fate is Fate.STUCK
    assert stuck.told.splitlines()[0].startswith("nurturing: the code at hand cannot go on from ")
    assert stuck.told.splitlines()[0].endswith(f"/nurturing/{version}/waiting-pause-2.json")
    assert "the contact stood at pause-2: until 7 days after reminder-1" in stuck.told
    assert "the code cannot begin: " in stuck.told
    assert "KeyError: 'plan'" in stuck.told
    assert f"the risk: contacts on version {version} who wait in pause-2 would be stuck" in stuck.told
    assert f"`cauce flows record nurturing --forget {version}`" in stuck.told


@pytest.mark.parametrize(
    ("old", "new", "name", "told"),
    [
        (
            'send("guide")',
            'send("intro", "guide")',
            "finished",
            "the history does step guide, the code does step intro",
        ),
        (
            '            await self.wait(f"pause-{week}", self.settings.pause)\n',
            "",
            "waiting-pause-1",
            "the history waits in pause-1 (event 16), the code does the work of a step",
        ),
        (
            '            await self.send(f"reminder-{week}", "reminder")\n',
            "",
            "waiting-pause-2",
            "the history does step reminder-1 (event 21), the code waits",
        ),
        (
            "        for week in",
            '        self.finish("early")\n        for week in',
            "waiting-pause-1",
            "the history waits in pause-1 (event 16), the code does not",
        ),
        (
            'self.finish("interested")',
            'await self.send("bye", "guide")',
            "waiting-clicked-case-study",
            "",
        ),
        (
            "timedelta(days=60))\n",
            'timedelta(days=60))\n        await self.send("bye", "guide")\n',
            "finished",
            "the history records that the enrollment ended, the code goes on",
        ),
        (
            'f"pause-{week}"',
            'f"rest-{week}"',
            "waiting-pause-1",
            "the history waits in pause-1, the code comes to rest-1",
        ),
        (
            "        for week in",
            "        print(self.nothing)\n        for week in",
            "waiting-pause-1",
            "the code raises ",
        ),
    ],
)
async def test_a_difference_on_the_version_at_hand_is_told_in_words(
    of_nurturing: list[Recorded], edited: Edit, old: str, new: str, name: str, told: str
) -> None:
    flow = edited(old, new)
    verdict = await replay(as_at_hand(named(of_nurturing, name), flow), flow)
    if not told:
        assert verdict.fate is Fate.REPLAYS
        return
    assert verdict.fate is Fate.STUCK
    assert told in verdict.told
    assert f"contacts on version {build_id(flow)}" in verdict.told
    assert "`cauce flows record nurturing`" in verdict.told
    assert 'renamed={"old": "new"}' in verdict.told
    assert "undo it" in verdict.told


async def test_a_declared_renaming_is_no_difference(of_nurturing: list[Recorded], edited: Edit) -> None:
    renamed = 'renamed={"pause-{week}": "rest-{week}"},\n        on_edit='
    flow = edited("on_edit=", renamed)
    assert flow.about.renamed
    assert {v.fate for v in (await verdicts(of_nurturing, flow)).values()} <= {Fate.REPLAYS, Fate.CARRIED}


@pytest.mark.parametrize(
    ("old", "new", "name", "told"),
    [
        (
            "        plan = Approval",
            '        await self.wait("nap", timedelta(days=1))\n        plan = Approval',
            "waiting-budget",
            "where the history does step budget/33d6bb/stage-1/ask (event 16), the code waits",
        ),
        (
            '"A free ticket"',
            '"Two free tickets"',
            "held-budget",
            "where the history does step budget/33d6bb/stage-1/ask, the code does step budget/d8307a/stage-1/ask",
        ),
    ],
    ids=["another-step", "other-content"],
)
async def test_what_people_were_asked_is_compared_too(
    of_fair: list[Recorded], edited: Edit, old: str, new: str, name: str, told: str
) -> None:
    flow = edited(old, new, fair)
    recorded = named(of_fair, name)
    assert told in (await replay(as_at_hand(recorded, flow), flow)).told
    carried = await replay(recorded, flow)
    assert carried.fate in (Fate.CARRIED, Fate.OVER)


async def test_a_contact_for_whom_people_are_asked_is_carried_to_that_very_question(
    of_fair: list[Recorded], edited: Edit
) -> None:
    flow = edited('        self.finish("invited")', '        self.finish("welcome")', fair)
    found = {recorded.name: await replay(recorded, flow) for recorded in of_fair}
    assert {verdict.fate for name, verdict in found.items() if "-budget" in name and "with" not in name} == {
        Fate.REPLAYS
    }
