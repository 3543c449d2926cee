"""What an operator reads of a run in the Temporal Web UI, under its current details."""

from __future__ import annotations

from typing import Any

from domain.memory import Memory
from domain.trail import minute


def current_details(step: str | None, state: str, memory: Memory) -> str:
    """Markdown: where the contact is, since when, and what became of each step before."""
    lines = [f"**{step}**: {state}", "", f"- entered: {minute(memory.entered_at)}"]
    lines += [f"- {done}: {_said(result)}" for done, result in memory.finished.items()]
    lines += [f"- {skipped}: skipped, inserted where the contact had passed" for skipped in memory.skipped]
    lines += [f"- {left}: left, as an edit took it away" for left in memory.left]
    return "\n".join(lines)


def _said(result: Any) -> str:
    if isinstance(result, dict):
        return ", ".join(str(value) for value in result.values())
    return {True: "yes", False: "no", None: "done"}.get(result, str(result))
