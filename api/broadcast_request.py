"""A broadcast as a request asks for it, and what has to be sound before it is accepted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from pydantic import ConfigDict

from api.problems import invalid_request
from api.wiring import Services
from domain.broadcasts import FLOW, BroadcastOrder
from domain.flows import FlowSettings
from emails.subject_lines import subject_line_problems
from emails.templates import TemplateError, UnknownMessage


class BroadcastRequest(BroadcastOrder):
    """One message to many contacts."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "Shared calendars, to all customers",
                    "message": "product-update",
                    "source": {"segment_id": "0193f0c2-a0b1-7d22-9c33-4e5f6a7b8c9d"},
                    "at_local": "2026-12-01T09:00:00",
                    "holdout": 0.05,
                    "goal_event": "calendar_shared",
                    "test": {
                        "share": 0.2,
                        "after": "PT4H",
                        "variants": [
                            {
                                "name": "news",
                                "subject": {
                                    "en": "Shared calendars are here",
                                    "es": "Ya están los calendarios compartidos",
                                },
                            },
                            {
                                "name": "question",
                                "subject": {
                                    "en": "{{ contact.first_name or 'Hello' }}, who is free on Tuesday?",
                                    "es": "{{ contact.first_name or 'Hola' }}, ¿quién está libre el martes?",
                                },
                            },
                        ],
                    },
                }
            ]
        },
    )

    def hashed(self) -> str:
        """Tells one request from another under the same idempotency key."""
        request = self.model_dump(mode="json", exclude_unset=True)
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def require_sendable(services: Services, order: BroadcastOrder, *within: str) -> None:
    """Check the message and its subjects. `within` is where in the body the order stands.

    Raises: ProblemError 422, naming the field.
    """
    problems = [{"loc": ("body", *within, *loc), "msg": message} for loc, message in _problems(services, order)]
    if problems:
        raise invalid_request(problems)


def _problems(services: Services, order: BroadcastOrder) -> Iterator[tuple[tuple[str | int, ...], str]]:
    templates = services.broadcast_templates
    try:
        templates.check_message(FLOW, order.message, FlowSettings)
    except UnknownMessage as error:
        yield ("message",), f"names no message: {error}"
        return
    except TemplateError as error:
        yield ("message",), "; ".join(error.problems)
        return
    for number, variant in enumerate(order.test.variants if order.test else ()):
        place = ("test", "variants", number, "subject")
        for locale, problem in subject_line_problems(templates, FLOW, order.message, variant.subject):
            yield place if locale is None else (*place, locale), problem
