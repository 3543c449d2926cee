"""How events are called, and those after which a contact leaves every flow."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

EventName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
LEAVING = ("unsubscribed", "bounced", "complained", "erased")
"""The exits that they lead to are called as they are."""
