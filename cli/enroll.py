"""`cauce enroll`: one contact into one flow, through the HTTP API."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from cli.api_client import ApiClient
from cli.failures import CommandFailed
from cli.terminal import say
from runtime.settings import Settings


async def enroll(settings: Settings, flow: str, contact: dict[str, str], overrides: dict[str, Any]) -> None:
    """Enroll, and say where to look. `overrides` are of the flow's settings. Raises: CommandFailed."""
    async with ApiClient.of(settings) as api:
        path = f"/v1/flows/{quote(flow, safe='')}/enrollments"
        enrollment = await api.post(path, {"contact": contact, "settings": overrides})
    say(f"enrollment {enrollment['id']}")
    say(f"  in the API   {api.url}/v1/enrollments/{enrollment['id']}")
    say(f"  in Temporal  {enrollment['temporal_url']}")


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` pairs; a value that begins with `[` or `{` is JSON. Raises: CommandFailed."""
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (name and equals and value):
            raise CommandFailed(f"--set {assignment}: expected name=value, such as tip_after=P7D; see `cauce flows`")
        overrides[name] = _parsed(name, value) if value[0] in "[{" else value
    return overrides


def _parsed(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise CommandFailed(f"--set {name}: a list or an object is given as JSON, and this is none: {error}") from None
