"""What an operator reads of a run in the Temporal Web UI, under its current details."""

from __future__ import annotations

from typing import Any

from domain.memory import Memory, whole_of
from domain.trail import minute

_TELLING = ("status", "outcome", "reason", "score", "stage", "answer", "moment", "flow")
"""What of an activity's result is worth reading; the rest are ids."""


def current_details(step: str | None, doing: str, memory: Memory, following: str | None = None) -> str:
    """Markdown: where the contact is, what comes next, and what became of each step before."""
    lines = [f"**{step}**: {doing}", "", f"- entered: {minute(memory.entered_at)}"]
    if following:
        lines.append(f"- next: {following}, if nothing happens before")
    if memory.held_since is not None:
        lines.append(f"- held since {minute(memory.held_since)}: nothing begins until it is resumed")
    lines += [f"- {done}: {_said(result)}" for done, result in memory.finished.items() if whole_of(done) == done]
    lines += [f"- {skipped}: skipped, inserted where the contact had passed" for skipped in memory.skipped]
    lines += [f"- {left}: left, as an edit took it away" for left in memory.left if whole_of(left) == left]
    return "\n".join(lines)


def _said(result: Any) -> str:
    if isinstance(result, dict):
        return ", ".join(str(result[name]) for name in _TELLING if result.get(name) is not None) or "done"
    return {True: "yes", False: "no", None: "done"}.get(result, str(result))
