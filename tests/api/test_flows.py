"""Flows as the API lists them."""

from __future__ import annotations

from temporalio.testing import WorkflowEnvironment

from runtime.settings import Settings
from tests.api.caller import Caller, assert_problem, calling
from tests.api.flows import FLOWS


async def test_flows_of_the_code_are_listed_with_their_settings(api: Caller) -> None:
    listing = (await api.get("/v1/flows")).json()
    assert listing["next_cursor"] is None
    onboarding = next(flow for flow in listing["items"] if flow["name"] == "onboarding")
    assert onboarding["title"] == "Onboarding: from welcome to first success"
    assert {"event": "activated", "target": 0.4, "within": "P14D"}.items() <= onboarding["goal"].items()
    assert onboarding["owner"] == "customer success"
    assert onboarding["settings_schema"]["properties"]["hand_after"]["default"] == "P3D"
    assert (await api.get("/v1/flows/onboarding")).json() == onboarding


async def test_rules_of_entry_and_events_are_told(settings: Settings, temporal: WorkflowEnvironment) -> None:
    async with calling(settings, temporal.client, FLOWS) as api:
        yearly = (await api.get("/v1/flows/yearly")).json()
        once = (await api.get("/v1/flows/once")).json()
    assert (yearly["reenroll_after"], yearly["listens"]) == ("P1Y", ["visited"])
    assert once["reenroll_after"] is None


async def test_unknown_flow_is_not_found(api: Caller) -> None:
    for name in ("nope", "%00", "Onboarding", "..%2Fonboarding"):
        assert_problem(await api.get(f"/v1/flows/{name}"), 404, "not-found")
