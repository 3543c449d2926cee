"""What a request changes of a flow's settings."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue, ValidationError

from api.problems import invalid_request
from domain.flows import FlowSettings
from workflows.discovery import FlowClass


def checked_settings(flow: FlowClass, overrides: Mapping[str, JsonValue], *within: str) -> FlowSettings:
    """What the body's `settings` set, checked. `within` is where in the body they stand.

    Raises: ProblemError 422, naming the setting.
    """
    try:
        return flow.settings_model.model_validate(overrides)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        at = ("body", *within, "settings")
        raise invalid_request([{**fault, "loc": (*at, *fault["loc"])} for fault in faults]) from None
