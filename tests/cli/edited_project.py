"""A copy of the packages that is edited while contacts of a `cauce up` are in its flow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx

from cli.kept_code import PACKAGES, PROJECT
from tests.cli.processes import Up, eventually

RESTING = {"hand_after": "PT1S", "tip_after": "P7D"}
FLOW = "workflows/onboarding.py"
EDIT = {
    'await self.send("welcome")': 'await self.send("hello")\n        await self.send("welcome")',
    'await self.wait("time-to-try", self.settings.tip_after)': 'await self.wait("time-to-practise", timedelta(0))',
    '        owner="customer success",\n': (
        '        owner="customer success",\n        renamed={"time-to-try": "time-to-practise"},\n'
    ),
}
"""Inserts a step upstream of where the contact waits; renames that wait and gives it no time."""


def copy_packages(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def edit(project: Path, changes: dict[str, str]) -> None:
    source = (project / FLOW).read_text()
    for old, new in changes.items():
        assert old in source
        source = source.replace(old, new)
    (project / FLOW).write_text(source)
    hello = project / "emails/onboarding/hello"
    if not hello.exists():
        shutil.copytree(project / "emails/onboarding/welcome", hello)


def contact(up: Up, number: int) -> dict[str, Any]:
    """Enrolled, and waiting at time-to-try."""
    body = {"contact": {"email": f"c{number}@example.com"}, "settings": RESTING}
    enrolled = httpx.post(f"{up.api_url}/v1/flows/onboarding/enrollments", json=body, trust_env=False).json()
    eventually("the contact waits", lambda: where(up, enrolled)["step"] == "time-to-try")
    return dict(enrolled)


def where(up: Up, enrollment: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.get(f"{up.api_url}/v1/enrollments/{enrollment['id']}", trust_env=False, timeout=20)
    return dict(answer.json())


def mails(up: Up, enrollment: dict[str, Any]) -> list[str]:
    url = f"{up.api_url}/v1/messages?enrollment_id={enrollment['id']}"
    messages = httpx.get(url, trust_env=False).json()["items"]
    return sorted(message["step"] for message in messages if message["status"] == "sent")
