"""Events that mean something to Cauce itself, whatever flow a contact is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, JsonValue

from domain.event_names import LEAVING, EventName
from domain.flows import Exit, FlowType
from domain.suppressions import SuppressionReason

ERASED = "erased"
"""Told to enrollments of a contact who is being erased; nobody reports it from outside."""
LEAVING_EVENTS = {name: Exit(name) for name in LEAVING}
"""After one of these the contact's address is suppressed and every enrollment of theirs ends."""
SUPPRESSED_AFTER = {
    "unsubscribed": SuppressionReason.UNSUBSCRIBED,
    "bounced": SuppressionReason.HARD_BOUNCE,
    "complained": SuppressionReason.COMPLAINT,
    ERASED: SuppressionReason.ERASED,
}
NO_ACTS = frozenset({"opened", *LEAVING_EVENTS})
"""Events that are no sign of life: mail programs open messages by themselves."""
LEAD_OFFERED = "lead_offered"
"""Told to an enrollment whose lead came out of the queue; no event from outside has this name's meaning."""


def _act(name: str) -> str:
    if name in NO_ACTS or name == LEAD_OFFERED:
        raise ValueError(
            "expected something that contacts do: not opened, which mail programs do by themselves, nor "
            f"{', '.join(LEAVING_EVENTS)}, after which they leave, nor {LEAD_OFFERED}, which is Cauce's own"
        )
    return name


ActName = Annotated[EventName, AfterValidator(_act)]
"""An event by which contacts show that they are there: what settings may name as a goal."""


def concerns(flow: FlowType, event: str, settings: Mapping[str, JsonValue]) -> bool:
    """Whether an enrollment in this flow, with these overrides of its settings, has to be told of the event."""
    return event in LEAVING_EVENTS or event in flow.goal.events(settings) or event in flow.listens
