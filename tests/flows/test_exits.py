"""An exit at every step of every flow ends it at once, and leaves nobody asked and no rep's capacity taken."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Sequence

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
Act = Callable[[Journey], Awaitable[None]]
Manner = Callable[[Journey, Standing], Awaitable[None]]
_NUMBER = re.compile(r"-\d+(?=/|$)")


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


LEAVE = {"unsubscribed": Journey.unsubscribe, "goal": Journey.reach_goal}


@pytest.mark.parametrize("flow", FLOWS)
async def test_an_exit_at_every_step_ends_a_flow_at_once_and_leaves_nothing_open(
    journey: JourneyStarter, flow: str
) -> None:
    left_in: set[str] = set()
    left_at: set[str] = set()
    for manner in (idly, eagerly):
        wait: str | None = ""
        while wait is not None:
            for exit_, leave in LEAVE.items():
                async with journey(FLOWS[flow], contact=VALUED, consent=AGREES, people=[MARTA, ROSA, RAUL]) as j:
                    wait = await come_to_another_wait(j, manner, left_in)
                    if wait is None:
                        break
                    left_at.add(await assert_leaves_at_once(j, exit_, leave))
            left_in |= {wait} if wait else set()
    assert not_stood_at(flow, left_at) == []


async def assert_leaves_at_once(j: Journey, exit_: str, leave: Act) -> str:
    """Answer the step at which the contact left."""
    step = (await j.progress()).step
    written = len(j.inbox().steps), len(j.letters().steps)
    await leave(j)
    outcome = await j.outcome()
    assert (outcome.exit, outcome.step) == (exit_, step)
    assert await left_open(j) == []
    assert (len(j.inbox().steps), len(j.letters().steps)) == written
    assert step is not None
    return step


async def come_to_another_wait(j: Journey, manner: Manner, known: Collection[str]) -> str | None:
    """Go on to a wait of a kind that is not known; None if there is none."""
    for _ in range(RESTS_AT_MOST):
        standing = await j.settle()
        if standing.closed or standing.wait is None:
            return None
        # In a loop, and for one rep after the other, waits have numbers: what holds for one holds for all.
        kind = _NUMBER.sub("", standing.wait.step)
        if kind not in known:
            return kind
        await manner(j, standing)
    return None


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
