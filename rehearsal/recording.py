"""Records histories of a flow: how runs on this version of its code look, at each of its waits and ends.

They are kept with the tests. Replaying them later tells whether contacts who are on that version could go on.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from domain.flows import Exit
from emails.templates import Templates
from rehearsal.enrolled import Journey
from rehearsal.exploring import Explorer
from rehearsal.stage import flow_name, templates_of
from workflows.builds import build_id
from workflows.discovery import FlowClass

HISTORIES = Path("tests") / "histories"
"""In the project's folder."""

EXITS: dict[Exit, Callable[[Journey], Awaitable[None]]] = {
    Exit.GOAL: Journey.reach_goal,
    Exit.UNSUBSCRIBED: Journey.unsubscribe,
    Exit.BOUNCED: Journey.bounce,
    Exit.COMPLAINED: Journey.complain,
    Exit.ERASED: Journey.erase,
    Exit.CANCELLED: Journey.cancel,
}
"""What interrupts a journey, wherever it is."""


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
    """Sanitised histories by name, of contacts who go through the flow in every way.

    - `finished`: through to the end, `finished-with-<step>.<answer>` where people do not answer as usual, and
      `finished-with-<step>` on another way, where something is done that none of the others does: all that contacts of
      this version may be sent is on record
    - `waiting-<step>`: in each wait; `waiting-<step>.<part>` in another part of a step that asks people
    - `held-<step>`, `resumed-<step>`, `exited-goal-at-<step>`: held, gone on and left, in the first wait and wherever
      people are asked
    - `exited-<exit>`: by each exit, in the first wait
    """
    explorer = Explorer(flow, templates or templates_of(flow))
    await explorer.explore()
    for exit_, leave in EXITS.items():
        await explorer.exit_by(exit_, leave)
    return explorer.found
