"""`cauce up --demo`: two contacts in a fast-forward onboarding, so that there is something to see within seconds."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from cli.api_client import ApiClient, ApiRefused
from cli.terminal import say

FLOW = "onboarding"
FAST_FORWARD = {"hand_after": "PT5S", "tip_after": "PT5S", "check_in_after": "PT15S"}
ANA = {"email": "ana@example.com", "first_name": "Ana", "last_name": "Rojas", "locale": "es"}
ADA = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "locale": "en"}
_WELCOMED_WITHIN = timedelta(seconds=30)
_LOOK_EVERY = timedelta(milliseconds=200)


async def show_demo(api: ApiClient) -> None:
    """Enroll both, and have Ada activate once she was welcomed. A contact who is in the flow now is left alone.

    Raises: CommandFailed.
    """
    if await _enroll(api, ANA):
        say("demo: Ana will get four emails in Spanish, within some 15 s")
    if ada := await _enroll(api, ADA):
        if await _welcomed(api, ada):
            await api.post("/v1/events", {"email": ADA["email"], "name": "activated", "id": f"demo-{ada}"})
            say("demo: Ada activated after her welcome: the goal is reached, and she gets no more of this flow")
        else:
            say("demo: Ada's welcome is not sent yet: see the worker's log")
    say(f"demo: read the emails at {api.url}/outbox")


async def _enroll(api: ApiClient, contact: dict[str, str]) -> str | None:
    """The id of the enrollment that was made, or None if the contact is in the flow or may not enter it yet."""
    try:
        enrollment = await api.post(f"/v1/flows/{FLOW}/enrollments", {"contact": contact, "settings": FAST_FORWARD})
    except ApiRefused as refusal:
        if refusal.status != 409:
            raise
        say(f"demo: {contact['first_name']} stays as she is: {refusal.detail}")
        return None
    say(f"demo: {contact['first_name']} ({contact['email']}) enrolled in {FLOW}: {enrollment['temporal_url']}")
    return str(enrollment["id"])


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
