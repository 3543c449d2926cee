"""Liveness, readiness and metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from runtime.settings import Settings
from tests.api.caller import ADA, Caller, assert_problem, calling, client_of_nobody


async def test_ready_when_both_dependencies_answer(api: Caller) -> None:
    assert (await api.get("/healthz")).json() == {"status": "alive"}
    answer = await api.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert {name: check["ok"] for name, check in answer.json()["checks"].items()} == {
        "database": True,
        "temporal": True,
    }


async def test_alive_but_not_ready_without_temporal(api_without_temporal: Caller) -> None:
    assert (await api_without_temporal.get("/healthz")).status_code == 200
    answer = await api_without_temporal.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["database"]["ok"]
    assert not checks["temporal"]["ok"]
    assert "TEMPORAL_ADDRESS" in checks["temporal"]["detail"]


async def test_namespace_that_is_missing_is_named(settings: Settings, temporal: WorkflowEnvironment) -> None:
    client = await Client.connect(
        temporal.client.service_client.config.target_host,
        namespace="nowhere",
        lazy=True,
        data_converter=pydantic_data_converter,
    )
    async with calling(settings, client) as api:
        checks = (await api.get("/readyz")).json()["checks"]
    assert "nowhere" in checks["temporal"]["detail"]


async def test_database_without_its_migrations_says_what_to_run(tmp_path: Path, temporal: WorkflowEnvironment) -> None:
    async with calling(Settings.model_validate({"data_dir": tmp_path}), temporal.client) as api:
        answer = await api.get("/readyz")
    assert answer.status_code == 503
    assert "cauce migrate" in answer.json()["checks"]["database"]["detail"]


async def test_database_that_is_away_is_a_problem_and_not_our_fault(
    tmp_path: Path, unused_port: Callable[[], int]
) -> None:
    url = f"postgresql://cauce:secret-password@127.0.0.1:{unused_port()}/cauce"
    settings = Settings.model_validate({"data_dir": tmp_path, "database_url": url})
    async with calling(settings, await client_of_nobody(unused_port())) as api:
        answer = await api.post("/v1/contacts", ADA)
        assert_problem(answer, 503, "database-unavailable")
        assert answer.headers["retry-after"]
        ready = await api.get("/readyz")
    assert not ready.json()["checks"]["database"]["ok"]
    assert "secret-password" not in answer.text + ready.text


async def test_requests_enrollments_and_events_are_counted(api: Caller) -> None:
    await api.enroll()
    await api.post("/v1/flows/onboarding/enrollments", {"contact": ADA})
    for _ in range(2):
        await api.post("/v1/events", {"email": ADA["email"], "name": "visited", "id": "crm-1"})
    await api.get("/v1/contacts", email=ADA["email"])
    await api.http.request("BREW", "/v1/nowhere/ada@example.com")
    metrics = (await api.get("/metrics")).text
    assert 'cauce_api_enrollments_total{result="enrolled"} 1.0' in metrics
    assert 'cauce_api_enrollments_total{result="refused"} 1.0' in metrics
    assert 'cauce_api_events_total{result="recorded"} 1.0' in metrics
    assert 'cauce_api_events_total{result="repeated"} 1.0' in metrics
    enroll = 'method="POST",route="/v1/flows/{flow}/enrollments"'
    assert f'cauce_api_requests_total{{{enroll},status="201"}} 1.0' in metrics
    assert f"cauce_api_request_seconds_count{{{enroll}}} 2.0" in metrics
    assert 'cauce_api_requests_total{method="other",route="none",status="404"} 1.0' in metrics
    assert "ada@" not in metrics


async def test_log_tells_the_route_and_no_address(api: Caller, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="api"):
        await api.get("/v1/contacts", email="ada@example.com")
    (line,) = [record for record in caplog.records if record.message == "request"]
    fields = vars(line)
    assert (fields["method"], fields["route"], fields["status"]) == ("GET", "/v1/contacts", 404)
    assert fields["ms"] > 0
    assert "ada" not in str(fields)


async def test_unexpected_error_is_answered_without_detail_and_logged_without_values(
    api: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    await api.contact()
    async with api.services.database.write() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE contacts SET created_at = 'ada@example.com'")
    with caplog.at_level(logging.INFO):
        answer = await api.get("/v1/contacts", email="ada@example.com")
    assert_problem(answer, 500, "unexpected")
    assert "ada@" not in answer.text
    (line,) = [record for record in caplog.records if record.message == "unexpected error"]
    assert vars(line)["error"] == "ValueError"
    assert any("contacts.py" in frame for frame in vars(line)["where"])
    assert "ada@" not in "".join(str(vars(record)) for record in caplog.records)
