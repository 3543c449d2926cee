"""Records histories of a flow: how runs on this version of its code look, at each of its waits and ends.

They are kept with the tests. Replaying them later tells whether contacts who are on that version could go on.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

from temporalio.client import WorkflowHistory

from domain.flows import Exit
from emails.templates import Templates
from rehearsal.enrolled import Journey
from rehearsal.journey import journey
from rehearsal.sanitising import sanitised
from rehearsal.stage import flow_name
from rehearsal.standing import attributes_of, kind_of
from workflows.builds import build_id
from workflows.discovery import FlowClass

HISTORIES = Path("tests") / "histories"
"""In the project's folder."""
MOST_JOURNEYS = 60
MOST_WAITS = 500

EXITS: dict[Exit, Callable[[Journey], Awaitable[None]]] = {
    Exit.GOAL: Journey.reach_goal,
    Exit.UNSUBSCRIBED: Journey.unsubscribe,
    Exit.BOUNCED: Journey.bounce,
    Exit.COMPLAINED: Journey.complain,
    Exit.CANCELLED: Journey.cancel,
}
"""What interrupts a journey, wherever it is."""

Answers = dict[str, bool]
"""Which questions of a journey get their event; the others are left to time out."""


async def record(flow: FlowClass, folder: Path, templates: Templates | None = None) -> list[Path]:
    """Live the flow in every way, and write histories to `folder/<flow>/<version>/`; answer the files.

    What was recorded of this version before is replaced, other versions are left: contacts may still be on them.
    """
    target = folder / flow_name(flow) / build_id(flow)
    found = await histories(flow, templates)
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    paths = []
    for name, text in sorted(found.items()):
        paths.append(target / f"{name}.json")
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def forget(flow: FlowClass, version: str, folder: Path) -> bool:
    """Remove what was recorded of a version; answer whether there was anything."""
    target = folder / flow_name(flow) / version
    if not target.is_dir():
        return False
    shutil.rmtree(target)
    return True


async def histories(flow: FlowClass, templates: Templates | None = None) -> dict[str, str]:
    """Sanitised histories by name: `finished`, `exited-<exit>`, and `waiting-<step>` for each wait that was found.

    Each question that the flow asks of the contact is answered once and left unanswered once, breadth first. Where this
    leads to a message that none of these histories has, there is `finished-with-<step>` too: all that contacts of this
    version may be sent is on record.
    """
    explorer = _Explorer(flow, templates)
    await explorer.explore()
    for exit_, leave in EXITS.items():
        await explorer.exit_by(exit_, leave)
    return explorer.found


class _Explorer:
    def __init__(self, flow: FlowClass, templates: Templates | None) -> None:
        self.found: dict[str, str] = {}
        self._flow = flow
        self._templates = templates
        self._asked: set[str] = set()
        self._kept_steps: set[str] = set()
        """Steps of messages that are on record."""
        self._ahead: deque[Answers] = deque([{}])

    async def explore(self) -> None:
        for _ in range(MOST_JOURNEYS):
            if not self._ahead:
                return
            await self._live(self._ahead.popleft())

    async def exit_by(self, exit_: Exit, leave: Callable[[Journey], Awaitable[None]]) -> None:
        """Leave at the first wait; a flow that never waits cannot be left."""
        async with journey(self._flow, templates=self._templates) as j:
            if not (await j.settle()).closed:
                await leave(j)
                await j.outcome()
                self._keep(f"exited-{exit_}", await j.history())

    async def _live(self, answers: Answers) -> None:
        async with journey(self._flow, templates=self._templates) as j:
            for _ in range(MOST_WAITS):
                standing = await j.settle()
                wait = standing.wait
                if standing.closed or wait is None:
                    break
                self._keep(f"waiting-{wait.step}", await j.history())
                answerable = wait.event is not None and wait.event != self._flow.about.goal.event
                if answerable and wait.step not in self._asked:
                    self._asked.add(wait.step)
                    self._ahead.append({**answers, wait.step: True})
                if wait.event is not None and answers.get(wait.step):
                    await j.happens(wait.event)
                else:
                    await j.pass_wait(standing)
            if standing.closed and (await j.outcome()).exit is Exit.COMPLETED:
                history = await j.history()
                self._keep("finished", history)
                for step in _sending_steps(history):
                    if step not in self._kept_steps:
                        self._keep(f"finished-with-{step}", history)

    def _keep(self, name: str, history: WorkflowHistory) -> None:
        if name not in self.found:
            self.found[name] = sanitised(history)
            self._kept_steps.update(_sending_steps(history))


def _sending_steps(history: WorkflowHistory) -> list[str]:
    """The steps that sent something, in their order."""
    scheduled = (event for event in history.events if kind_of(event) == "activity_task_scheduled")
    return [attributes_of(event).activity_id for event in scheduled]
