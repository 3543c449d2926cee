"""Who may ask: holders of a key or, without any key, this machine alone."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from runtime.settings import Settings
from tests.api.caller import ADA, Caller, assert_problem, calling

KEYS = ("first-key-of-the-crm", "second-key-of-the-shop")
PROTECTED = [
    ("POST", "/v1/contacts"),
    ("GET", "/v1/contacts?email=ada@example.com"),
    ("GET", "/v1/contacts/0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"),
    ("GET", "/v1/flows"),
    ("GET", "/v1/flows/onboarding"),
    ("POST", "/v1/flows/onboarding/enrollments"),
    ("GET", "/v1/enrollments"),
    ("GET", "/v1/enrollments/0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"),
    ("POST", "/v1/enrollments/0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11/cancel"),
    ("POST", "/v1/events"),
    ("POST", "/v1/webhooks/sendgrid"),
    ("GET", "/v1/messages"),
    ("GET", "/v1/approvals"),
    ("POST", "/v1/approvals/0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11/decision"),
    ("POST", "/v1/tasks/0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11/complete"),
    ("POST", "/v1/assignments/0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11/accept"),
]
PUBLIC = ["/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/console.css"]


@pytest.fixture
async def keyed(settings: Settings, temporal: WorkflowEnvironment) -> AsyncIterator[Caller]:
    with_keys = Settings.model_validate({**settings.model_dump(exclude_unset=True), "api_keys": KEYS})
    async with calling(with_keys, temporal.client) as caller:
        yield caller


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer first-key-of-the-cr", f"Bearer {KEYS[0]}x", f"Basic {KEYS[0]}", KEYS[0]],
)
async def test_every_operation_needs_a_key(keyed: Caller, method: str, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await keyed.http.request(method, path, headers=headers)
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "key-of" not in answer.text


@pytest.mark.parametrize("key", KEYS)
async def test_each_key_opens_the_api_from_anywhere(keyed: Caller, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Host": "cauce.example.com", "Origin": "https://shop.example.com"}
    assert (await keyed.http.post("/v1/contacts", json=ADA, headers=headers)).is_success


async def test_key_that_is_no_ascii_is_refused(keyed: Caller) -> None:
    answer = await keyed.http.get("/v1/flows", headers=[(b"Authorization", b"Bearer caf\xe9\xff")])
    assert_problem(answer, 401)


@pytest.mark.parametrize("path", PUBLIC)
async def test_health_and_documentation_need_no_key(keyed: Caller, path: str) -> None:
    assert (await keyed.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/outbox", "/outbox/x", "/outbox/x/html", "/outbox/x.eml"])
async def test_outbox_asks_a_browser_for_the_key(keyed: Caller, path: str) -> None:
    for headers in ({}, _basic("", "wrong"), {"Authorization": "Basic %%%"}, {"Authorization": "Bearer wrong"}):
        answer = await keyed.http.get(path, headers=headers)
        assert_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Basic")
    for headers in (_basic("anyone", KEYS[1]), _basic("", KEYS[0]), {"Authorization": f"Bearer {KEYS[0]}"}):
        assert (await keyed.http.get(path, headers=headers)).status_code in (200, 404)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:9", "[::1]:8000", "127.1.2.3"])
async def test_without_keys_this_machine_may_ask(api: Caller, host: str) -> None:
    assert (await api.http.get("/v1/flows", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["cauce.example.com", "192.168.1.2:8000", "localhost.example.com", "127.0.0.1.nip.io", "[", "", "a@b:c:d"]
)
@pytest.mark.parametrize("path", ["/v1/flows", "/outbox", "/"])
async def test_without_keys_a_name_from_elsewhere_is_refused(api: Caller, host: str, path: str) -> None:
    assert_problem(await api.http.get(path, headers={"Host": host}), 403, "loopback-only")


async def test_without_keys_a_page_from_elsewhere_cannot_post(api: Caller) -> None:
    for origin in ("https://evil.example.com", "null"):
        answer = await api.http.post("/v1/contacts", json=ADA, headers={"Origin": origin})
        assert_problem(answer, 403, "loopback-only")
    assert await api.contacts() == []
    answer = await api.http.post("/v1/contacts", json=ADA, headers={"Origin": "http://localhost:8000"})
    assert answer.status_code == 201
