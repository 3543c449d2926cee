"""What the forms of contacts' pages send: read as it comes, since whoever sends it is free to send anything.

A topic is sent with the version of the text that the page showed of it, `newsletter:2026-11`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl

from fastapi import Request


class ChoiceForm(NamedTuple):
    """`is_ours`: a page of ours sent it. `was_on` is what that page showed as on, `topics` are wordings by topic."""

    is_ours: bool
    leaves: bool
    was_on: frozenset[str]
    topics: dict[str, str]


def shown_as(topic: str, wording: str) -> str:
    return f"{topic}:{wording}"


async def read_choice(request: Request) -> ChoiceForm:
    """What is none of our forms has nothing in it."""
    try:
        sent = parse_qsl((await request.body()).decode(), errors="strict")
    except ValueError:
        sent = []
    actions = {value for name, value in sent if name == "action"}
    return ChoiceForm(
        is_ours=bool(actions),
        leaves="leave" in actions,
        was_on=frozenset(value.partition(":")[0] for name, value in sent if name == "was"),
        topics={value.partition(":")[0]: value.partition(":")[2] for name, value in sent if name == "topic"},
    )
