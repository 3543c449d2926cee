"""Events that mean something to Cauce itself, whatever flow a contact is in."""

from __future__ import annotations

from domain.flows import Exit, FlowType

LEAVING_EVENTS = {
    "unsubscribed": Exit.UNSUBSCRIBED,
    "bounced": Exit.BOUNCED,
    "complained": Exit.COMPLAINED,
}
"""After one of these the contact's address is suppressed and every enrollment of theirs ends."""


def concerns(flow: FlowType, event: str) -> bool:
    """Whether an enrollment in this flow has to be told of the event."""
    return event in LEAVING_EVENTS or event == flow.goal.event or event in flow.listens
