"""Enrollments and events while Temporal is down: taken now, told later."""

from __future__ import annotations

import time
from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from runtime.dispatch import Dispatcher
from runtime.sweep import Sweep
from store.tables import now
from tests.api.caller import ADA, Caller

ONBOARDING = "/v1/flows/onboarding/enrollments"


async def _sweep(api: Caller, temporal: WorkflowEnvironment) -> dict[str, int]:
    """What a worker does once Temporal is back."""
    flows = {name: flow.about for name, flow in api.services.flows.items()}
    dispatcher = Dispatcher(api.services.database, temporal.client, flows)
    return await Sweep(dispatcher).run(grace=timedelta(0), closed_since=now())


async def test_enrollment_is_accepted_fast_and_started_by_the_sweep(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    api = api_without_temporal
    began = time.monotonic()
    answer = await api.post(ONBOARDING, {"contact": ADA}, idempotency_key="signup-1")
    assert answer.status_code == 201
    assert time.monotonic() - began < 2
    again = await api.post(ONBOARDING, {"contact": ADA}, idempotency_key="signup-1")
    assert (again.status_code, again.json()) == (201, answer.json())
    assert (await api.get(f"/v1/enrollments/{answer.json()['id']}")).json() == answer.json()

    assert (await _sweep(api, temporal))["enrollments_started"] == 1
    run = await temporal.client.get_workflow_handle(answer.json()["workflow_id"]).describe()
    assert await run.memo_value("enrollment_id") == answer.json()["id"]


async def test_event_is_accepted_fast_and_delivered_by_the_sweep(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    api = api_without_temporal
    await api.enroll()
    began = time.monotonic()
    answer = await api.post("/v1/events", {"email": ADA["email"], "name": "activated", "id": "crm-1"})
    assert (answer.status_code, answer.json()) == (202, {"id": "crm-1"})
    assert time.monotonic() - began < 2
    (event,) = await api.events()
    assert event.delivered_at is None

    swept = await _sweep(api, temporal)
    assert (swept["enrollments_started"], swept["events_delivered"]) == (1, 1)
    (event,) = await api.events()
    assert event.delivered_at is not None


async def test_cancellation_is_accepted_and_told_by_the_sweep(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    api = api_without_temporal
    made = await api.enroll()
    assert (await api.post(f"/v1/enrollments/{made['id']}/cancel")).status_code == 202
    (row,) = await api.enrollments()
    assert (row.status, row.cancel_told_at) == ("active", None)

    assert (await _sweep(api, temporal))["enrollments_cancelled"] == 1


async def test_unsubscribing_holds_at_once_and_ends_enrollments_later(
    api_without_temporal: Caller, temporal: WorkflowEnvironment
) -> None:
    api = api_without_temporal
    made = await api.enroll()
    path = api.services.links.unsubscribe_url(made["contact_id"]).partition("8000")[2]
    assert (await api.http.post(path)).status_code == 200
    assert (await api.get(f"/v1/contacts/{made['contact_id']}")).json()["suppressed"] == ["unsubscribed"]
    assert (await _sweep(api, temporal))["events_delivered"] == 1
