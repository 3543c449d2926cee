"""Events that mean something to Cauce itself, whatever flow a contact is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import JsonValue, StringConstraints

from domain.flows import Exit, FlowType

EventName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
LEAVING_EVENTS = {
    "unsubscribed": Exit.UNSUBSCRIBED,
    "bounced": Exit.BOUNCED,
    "complained": Exit.COMPLAINED,
}
"""After one of these the contact's address is suppressed and every enrollment of theirs ends."""
SUNSET = "sunset"
"""The suppression of a contact who gets no marketing until they act."""
NO_ACTS = frozenset({"opened", *LEAVING_EVENTS})
"""Events that are no sign of life: mail programs open messages by themselves."""
LEAD_OFFERED = "lead_offered"
"""Told to an enrollment whose lead came out of the queue; no event from outside has this name's meaning."""


def concerns(flow: FlowType, event: str, settings: Mapping[str, JsonValue]) -> bool:
    """Whether an enrollment in this flow, with these overrides of its settings, has to be told of the event."""
    return event in LEAVING_EVENTS or event in flow.goal.events(settings) or event in flow.listens
