"""Which messages each recorded version of a flow sends: contacts who are on one get them yet."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SENDS = "email.send"


def recorded_sends(folder: Path) -> dict[str, frozenset[str]]:
    """Messages by version, of the histories in `folder/<version>/`. What is no history is passed by: others tell."""
    versions = sorted(path for path in folder.glob("*") if path.is_dir())
    return {
        path.name: frozenset(message for file in path.glob("*.json") for message in _sent(file)) for path in versions
    }


def _sent(path: Path) -> Iterator[str]:
    try:
        history = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    events = history.get("events") if isinstance(history, dict) else None
    for event in events if isinstance(events, list) else ():
        match event:
            case {
                "activityTaskScheduledEventAttributes": {
                    "activityType": {"name": name},
                    "input": {"payloads": [{"data": str(data)}, *_]},
                }
            } if name == _SENDS:
                match _decoded(data):
                    case {"message": str(message)} | {"step": str(message)}:
                        yield message


def _decoded(data: str) -> Any:
    try:
        return json.loads(base64.b64decode(data))
    except (ValueError, RecursionError):
        return None
