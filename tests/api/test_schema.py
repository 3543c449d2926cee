"""The OpenAPI description, and schemathesis, which asks all that the description allows and much that it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain.flows import Exit, Outcome
from runtime.settings import Settings
from store.enrollments import record_outcome
from tests.api.caller import Caller, served
from tests.temporal_server import SCRIPTS

KEY = "key-of-sixteen-characters"
TAKE_PREDICATES = ("create_segment_of_contacts", "replace_segment_of_contacts")


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path / "data", "database_url": sqlite_url, "api_keys": (KEY,)})


@pytest.fixture
async def description(api: Caller) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.get("/openapi.json")).json()
    return answer


def _operations(description: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    ]


async def test_every_error_is_described_as_a_problem_document(description: dict[str, Any]) -> None:
    for name, operation in _operations(description):
        statuses = set(operation["responses"])
        assert {"403", "413", "500", "503"} <= statuses, name
        if "/v1/" in name:
            assert "401" in statuses, name
        if "requestBody" in operation and "/webhooks/" not in name:  # which take any body
            assert {"400", "415", "422"} <= statuses, name
        for status, response in operation["responses"].items():
            if status >= "400" and name != "GET /readyz":
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, name
    assert "HTTPValidationError" not in description["components"]["schemas"]


async def test_operations_have_names_of_their_own(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in _operations(description)]
    assert len(set(names)) == len(names)
    assert {"enroll_contact", "cancel_enrollment", "take_event"} <= set(names)


async def test_key_is_asked_for_by_the_api_and_not_by_health(description: dict[str, Any]) -> None:
    for name, operation in _operations(description):
        assert ("security" in operation) is ("/v1/" in name), name


async def test_flows_and_their_settings_are_described(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    assert {"$ref": "#/components/schemas/OnboardingSettings"} in (
        schemas["EnrollmentRequest"]["properties"]["settings"]["anyOf"]
    )
    assert schemas["OnboardingSettings"]["properties"]["hand_after"]["format"] == "duration"
    (flow,) = [
        parameter
        for parameter in description["paths"]["/v1/flows/{flow}/enrollments"]["post"]["parameters"]
        if parameter["name"] == "flow"
    ]
    assert "onboarding" in flow["schema"]["enum"]


async def test_examples_of_requests_are_accepted(api_without_temporal: Caller, description: dict[str, Any]) -> None:
    api = api_without_temporal
    api.http.headers["Authorization"] = f"Bearer {KEY}"
    schemas = description["components"]["schemas"]
    profile = {name: given["examples"][0] for name, given in schemas["ContactRequest"]["properties"].items()}
    ada = (await api.post("/v1/contacts", profile)).json()
    assert ada["email"] == "ada@example.com"
    by_contact, by_id = schemas["EnrollmentRequest"]["examples"]
    made = await api.post("/v1/flows/onboarding/enrollments", by_contact)
    assert made.status_code == 201, made.text
    async with api.services.database.write() as session:
        await record_outcome(session, made.json()["id"], Outcome(exit=Exit.COMPLETED, step=None))
    again = await api.post("/v1/flows/onboarding/enrollments", {**by_id, "contact_id": ada["id"]})
    assert again.status_code == 201, again.text
    by_email, by_contact_id = schemas["EventRequest"]["examples"]
    assert (await api.post("/v1/events", by_email)).status_code == 202
    assert (await api.post("/v1/events", {**by_contact_id, "contact_id": ada["id"]})).status_code == 202


@pytest.mark.parametrize(
    "which",
    [
        [f"--exclude-operation-id={name}" for name in TAKE_PREDICATES],
        # Predicates hold predicates: to cover the limits of each at each depth would have no end.
        [*(f"--include-operation-id={name}" for name in TAKE_PREDICATES), "--phases=examples,fuzzing"],
    ],
    ids=["most", "predicates"],
)
async def test_schemathesis_finds_no_server_error_and_no_undocumented_answer(
    api_with_worker: Caller, unused_port: Callable[[], int], tmp_path: Path, which: list[str]
) -> None:
    async with served(api_with_worker, unused_port()) as url:
        process = await asyncio.create_subprocess_exec(
            str(SCRIPTS / "st"),
            "run",
            f"{url}/openapi.json",
            f"--header=Authorization: Bearer {KEY}",
            *which,
            "--checks=all",
            # JSON Schema cannot say all that we ask for: that a time zone exists, an address can be written to.
            "--exclude-checks=positive_data_acceptance",
            # Random ones, beside the hundreds that cover the limits of each operation.
            "--max-examples=5",
            "--seed=1",
            "--generation-deterministic",
            "--no-color",
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        report, _ = await process.communicate()
    assert process.returncode == 0, report.decode()
