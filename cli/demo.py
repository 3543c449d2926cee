"""`cauce up --demo`: contacts in each flow, each in another state, so that there is something to see within seconds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cli.api_client import ApiClient, ApiRefused
from cli.terminal import say

ALWAYS = {
    day: [{"begins": "00:00", "ends": "23:59"}]
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
}
"""Working hours for whenever somebody looks at the demo."""
MARTA = {
    "email": "marta@example.com",
    "name": "Marta Soto",
    "roles": ["sales_manager"],
    "locale": "es",
    "time_zone": "America/Santiago",
}
ROSA = {
    "email": "rosa@example.com",
    "name": "Rosa Pérez",
    "roles": ["sales"],
    "locale": "es",
    "time_zone": "America/Santiago",
    "working_hours": ALWAYS,
    "capacity": 10,
}


@dataclass(frozen=True)
class Visitor:
    """A contact of the demo, how fast they go through a flow, and what there is to see of them."""

    first_name: str
    last_name: str
    locale: str
    flow: str
    promise: str
    settings: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return f"{self.first_name.lower()}@example.com"

    @property
    def contact(self) -> dict[str, Any]:
        return {
            "email": self.email,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "locale": self.locale,
            "attributes": self.attributes,
            "consent": {"newsletter": True, "offers": True},
        }


_FAST = {"hand_after": "PT5S", "tip_after": "PT5S", "check_in_after": "PT15S"}
ANA = Visitor("Ana", "Rojas", "es", "onboarding", "gets four emails in Spanish, within some 15 s", _FAST)
ADA = Visitor("Ada", "Lovelace", "en", "onboarding", "activates after her welcome: the goal ends her enrollment", _FAST)
NORA = Visitor(
    "Nora",
    "Hansen",
    "en",
    "nurturing",
    "has her first piece, and three days to click on it",
    {},
    {"interest": "growth"},
)
BRUNO = Visitor(
    "Bruno",
    "Díaz",
    "es",
    "reactivation",
    "gets an offer of 30 % if Marta approves it: her mail is in the outbox",
    {"offer_after": "PT3S"},
    {"lifetime_value_cents": 250_000},
)
LUCIA = Visitor(
    "Lucia", "Vidal", "es", "lead_assignment", "is offered to Rosa, who may accept by the mail in the outbox"
)
VISITORS = (ANA, ADA, NORA, BRUNO, LUCIA)

_WELCOMED_WITHIN = timedelta(seconds=30)
_LOOK_EVERY = timedelta(milliseconds=200)


async def show_demo(api: ApiClient) -> None:
    """Add two people, enroll everybody, and have Ada activate once she was welcomed.

    Whoever is there, or in the flow, already is left alone. Raises: CommandFailed.
    """
    for person in (MARTA, ROSA):
        await _unless_there(api, "/v1/people", person)
    enrolled = {visitor.first_name: await _enroll(api, visitor) for visitor in VISITORS}
    if ada := enrolled[ADA.first_name]:
        if await _welcomed(api, ada):
            await api.post("/v1/events", {"email": ADA.email, "name": "activated", "id": f"demo-{ada}"})
        else:
            say("demo: Ada's welcome is not sent yet: see the worker's log")
    say(f"demo: read the emails at {api.url}/outbox")


async def _enroll(api: ApiClient, visitor: Visitor) -> str | None:
    """The id of the enrollment that was made, or None if the contact is in the flow or may not enter it yet."""
    path = f"/v1/flows/{visitor.flow}/enrollments"
    enrollment = await _unless_there(api, path, {"contact": visitor.contact, "settings": visitor.settings})
    if enrollment is None:
        say(f"demo: {visitor.first_name} is in {visitor.flow}, or was lately, and stays as they are")
        return None
    say(f"demo: {visitor.first_name} in {visitor.flow} {visitor.promise}: {enrollment['temporal_url']}")
    return str(enrollment["id"])


async def _unless_there(api: ApiClient, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] = await api.post(path, body)
    except ApiRefused as refusal:
        if refusal.status != 409:
            raise
        return None
    return made


async def _welcomed(api: ApiClient, enrollment_id: str) -> bool:
    try:
        async with asyncio.timeout(_WELCOMED_WITHIN.total_seconds()):
            while True:
                messages = await api.get(f"/v1/messages?enrollment_id={enrollment_id}")
                if any(message["step"] == "welcome" and message["sent_at"] for message in messages["items"]):
                    return True
                await asyncio.sleep(_LOOK_EVERY.total_seconds())
    except TimeoutError:
        return False
