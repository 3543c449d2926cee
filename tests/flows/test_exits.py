"""An exit at every step of every flow ends it at once, and leaves nobody asked and no rep's capacity taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count

import pytest

from domain.contacts import ContactProfile
from inspection.flow_source import FlowSource
from inspection.layout import Layout
from inspection.outline import steps
from inspection.verb_calls import ARGUMENTS
from rehearsal.enrolled import Journey
from rehearsal.journey import MARTA, RAUL, ROSA, JourneyStarter
from rehearsal.standing import Standing
from store.people_tables import ApprovalRow, AssignmentRow, TaskRow
from tests.project_copy import ROOT
from workflows.discovery import discover_flows

VALUED = ContactProfile(email="ada@example.com", first_name="Ada", attributes={"lifetime_value_cents": 900_000})
AGREES = {"newsletter": True, "offers": True}
RESTS_AT_MOST = 9
"""A lead that nobody takes waits in the queue for ever."""
FLOWS = discover_flows()


async def idly(j: Journey, standing: Standing) -> None:
    """Nobody does anything."""
    await j.pass_wait(standing)


async def eagerly(j: Journey, standing: Standing) -> None:
    """Contacts click at once, and people say yes to all that they are asked."""
    event = standing.wait.event if standing.wait else None
    if event == "answer" and any(row.status == "pending" for row in await j.approvals()):
        await j.approve()
    elif event == "answer" and any(row.status == "open" for row in await j.tasks()):
        await j.complete()
    elif event == "answer":
        await j.accept()
    elif event is not None and event not in FLOWS[j.row.flow].about.goal.events({}):
        await j.happens(event)
    else:
        await j.pass_wait(standing)


MANNERS = {"idly": idly, "eagerly": eagerly}


@pytest.mark.parametrize("exit_", ["unsubscribed", "goal"])
@pytest.mark.parametrize("flow", FLOWS)
async def test_an_exit_at_every_step_ends_a_flow_at_once_and_leaves_nothing_open(
    journey: JourneyStarter, flow: str, exit_: str
) -> None:
    stood_at: set[str] = set()
    for manner in MANNERS:
        for rests in count(1):
            async with journey(FLOWS[flow], contact=VALUED, consent=AGREES, people=[MARTA, ROSA, RAUL]) as j:
                standing = await rest(j, manner, rests)
                if standing.closed:
                    break
                step = (await j.progress()).step
                assert step is not None
                stood_at.add(step)
                written = len(j.inbox().steps), len(j.letters().steps)
                await (j.unsubscribe() if exit_ == "unsubscribed" else j.reach_goal())
                outcome = await j.outcome()
                assert (outcome.exit, outcome.step) == (exit_, step)
                assert await left_open(j) == []
                assert (len(j.inbox().steps), len(j.letters().steps)) == written
            if rests == RESTS_AT_MOST:
                break
    assert not_stood_at(flow, stood_at) == []


async def rest(j: Journey, manner: str, rests: int) -> Standing:
    """Go on to the how manieth rest, or to the end."""
    standing = await j.settle()
    for _ in range(rests - 1):
        if standing.closed:
            break
        await MANNERS[manner](j, standing)
        standing = await j.settle()
    return standing


async def left_open(j: Journey) -> Sequence[str]:
    """What people are still asked, and leads that still take a rep's capacity."""
    asked: list[ApprovalRow | TaskRow | AssignmentRow] = [
        *(await j.approvals()),
        *(await j.tasks()),
        *(await j.offers()),
    ]
    taken = [row.step for row in await j.offers() if row.person_id and row.released_at is None]
    return [row.step for row in asked if row.status in ("pending", "open", "offered", "queued")] + taken


def not_stood_at(flow: str, stood_at: set[str]) -> list[str]:
    """Steps of the flow's source that take time, but nobody was seen to stand at."""
    source = FlowSource.load(Layout.of(ROOT).module(flow))
    slow = {step.name for step in steps(source.outline) if ARGUMENTS[step.verb].limit or step.verb in ("ask", "task")}
    patterns = {name: re.sub(r"\\{[^}]*\\}", ".+", re.escape(name)) for name in slow}
    return [name for name, pattern in patterns.items() if not any(re.fullmatch(pattern, at) for at in stood_at)]
