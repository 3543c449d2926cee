"""`cauce enroll`: one contact into one flow, through the HTTP API."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from cli.api_client import ApiClient
from cli.failures import CommandFailed
from cli.terminal import say
from runtime.settings import Settings


async def enroll(settings: Settings, flow: str, contact: dict[str, str], overrides: dict[str, str]) -> None:
    """Enroll, and say where to look. `overrides` are of the flow's settings. Raises: CommandFailed."""
    async with ApiClient.of(settings) as api:
        path = f"/v1/flows/{quote(flow, safe='')}/enrollments"
        enrollment = await api.post(path, {"contact": contact, "settings": overrides})
    say(f"enrollment {enrollment['id']}")
    say(f"  in the API   {api.url}/v1/enrollments/{enrollment['id']}")
    say(f"  in Temporal  {enrollment['temporal_url']}")


def parse_overrides(assignments: Iterable[str]) -> dict[str, str]:
    """Read `name=value` pairs. Raises: CommandFailed."""
    overrides = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (name and equals and value):
            raise CommandFailed(f"--set {assignment}: expected name=value, such as tip_after=P7D; see `cauce flows`")
        overrides[name] = value
    return overrides
