"""Templates for the flows of `specimens/`, all alike, and journeys that send them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path
from typing import Any

from emails.templates import EMAILS, Templates
from rehearsal.enrolled import Journey
from rehearsal.journey import JourneyStarter
from tests.emails.project import BODY, FOOTER
from tests.flows import specimens
from tests.topics import topics_toml
from workflows.discovery import FlowClass

MESSAGES = {
    "nurturing": ("guide", "case-study", "reminder"),
    "caller": ("tip",),
    "drip": ("tip",),
    "marathon": ("tip",),
    "yearly": ("letter",),
    "morning": ("letter",),
    "board": (),
}


@cache
def specimen_templates() -> Templates:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "emails"
        for shipped in ("layout", "people"):
            shutil.copytree(EMAILS / shipped, root / shipped)
        _write(root / "topics.toml", topics_toml("specimens"))
        for locale in ("en", "es"):
            _write(root / "layout" / locale / "footer.mjml", FOOTER)
            for flow, names in MESSAGES.items():
                for name in names:
                    message = root / flow / name
                    _write(message / "message.toml", 'class = "relationship"\ntopic = "specimens"\n')
                    _write(message / locale / "subject.txt", f"{name} for {{{{ contact.first_name }}}}\n")
                    _write(message / locale / "body.mjml", BODY.replace("LOCALE", locale))
        return Templates.load(root)


def with_specimens(begin: JourneyStarter) -> JourneyStarter:
    """The same, in which the specimens have their templates."""

    def start(flow: FlowClass, *given: Any, **arguments: Any) -> AbstractAsyncContextManager[Journey]:
        if flow.__module__.startswith(f"{specimens.__name__}."):
            arguments = {"templates": specimen_templates(), **arguments}
        return begin(flow, *given, **arguments)

    return start


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
