"""Input that no client should send: each kind is answered with a problem that names the field, never with a 5xx."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from tests.api.caller import ADA, Caller, assert_problem, fields_at_fault, served

SECRET_VALUE = "ada.private@example.com"
POSTS = ["/v1/contacts", "/v1/events", "/v1/flows/onboarding/enrollments", "/v1/people"]


async def _send(api: Caller, path: str, body: bytes, content_type: str = "application/json") -> httpx.Response:
    return await api.http.post(path, content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b'{"email": ',
        b"{'email': 'ada@example.com'}",
        b'{"email": "\xff\xfe"}',
        b"\x80",
        b"[" * 100_000,
        b'{"attributes": ' * 2_000 + b"1" + b"}" * 2_000,
        b'{"attributes": {"n": ' + b"9" * 5_000 + b"}}",
    ],
    ids=["cut", "quotes", "not UTF-8", "no text", "brackets", "deep", "huge number"],
)
async def test_what_is_not_json_is_refused(api: Caller, path: str, body: bytes) -> None:
    assert_problem(await _send(api, path, body), 400, "bad-request")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1", b"{}", b""])
async def test_json_of_another_shape_is_refused(api: Caller, path: str, body: bytes) -> None:
    assert all(field.startswith("body") for field in fields_at_fault(assert_problem(await _send(api, path, body), 422)))


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "json", "a/b/c;;="])
async def test_body_of_another_type_is_refused(api: Caller, path: str, content_type: str) -> None:
    assert_problem(await _send(api, path, b'{"email": "ada@example.com"}', content_type), 415, "unsupported-media-type")


async def test_json_with_a_charset_is_json(api: Caller) -> None:
    answer = await _send(api, "/v1/contacts", b'{"email": "ada@example.com"}', "application/json; charset=utf-8")
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("members", "field"),
    [
        (r'"email": "nobody"', "body.email"),
        (r'"email": "a\u0000@example.com"', "body.email"),
        (r'"email": "\ud800@example.com"', "body.email"),
        (r'"email": 1', "body.email"),
        (r'"email": "' + "a" * 300 + r'@example.com"', "body.email"),
        (r'"first_name": "a\u0000b"', "body.first_name"),
        (r'"first_name": "\ud83d"', "body.first_name"),
        (r'"first_name": "' + "a" * 201 + '"', "body.first_name"),
        (r'"first_name": null', "body.first_name"),
        (r'"last_name": ["a"]', "body.last_name"),
        (r'"locale": "Spanish"', "body.locale"),
        (r'"time_zone": "Santiago"', "body.time_zone"),
        (r'"time_zone": "../../etc/passwd"', "body.time_zone"),
        (r'"country": "Chile"', "body.country"),
        (r'"attributes": {"x": NaN}', "body.attributes"),
        (r'"attributes": {"x": -Infinity}', "body.attributes"),
        (r'"attributes": {"x": 1e999}', "body.attributes"),
        (r'"attributes": {"x": 99999999999999999999999999}', "body.attributes"),
        (r'"attributes": {"x": "\u0000"}', "body.attributes"),
        (r'"attributes": {"\u0000": 1}', "body.attributes"),
        (r'"attributes": {"x": "\ud800"}', "body.attributes"),
        (r'"attributes": {"\udfff": 1}', "body.attributes"),
        (r'"attributes": {"x": ' + "[" * 20 + "]" * 20 + "}", "body.attributes"),
        (r'"attributes": {"x": ' + "[" * 400 + "]" * 400 + "}", "body.attributes"),
        (r'"attributes": {"x": [' + "[]," * 9_000 + "[]]}", "body.attributes"),
        (r'"consent": {"product-news": "yes"}', "body.consent.product-news"),
        (r'"consent": {"product-news": NaN}', "body.consent.product-news"),
        (r'"consent": {"Product News": true}', "body.consent"),
        (r'"consent": {"\ud800": true}', "body.consent"),
        (r'"consent": true', "body.consent"),
        (r'"e_mail": "x"', "body.e_mail"),
    ],
)
async def test_bad_member_of_a_contact_is_named(api: Caller, members: str, field: str) -> None:
    for path, wrapped in (
        ("/v1/contacts", f"{{{_with_email(members)}}}"),
        ("/v1/flows/onboarding/enrollments", f'{{"contact": {{{_with_email(members)}}}}}'),
    ):
        problem = assert_problem(await _send(api, path, wrapped.encode()), 422, "invalid-request")
        expected = field if path == "/v1/contacts" else field.replace("body", "body.contact")
        assert {shown.removesuffix(".…")[: len(expected)] for shown in fields_at_fault(problem)} == {expected}
    assert await api.contacts() == []


def _with_email(members: str) -> str:
    return members if '"email"' in members else f'"email": "ada@example.com", {members}'


@pytest.mark.parametrize(
    "body",
    [
        {"email": f"{SECRET_VALUE}@"},
        {"email": "ada@example.com", "locale": SECRET_VALUE},
        {"email": "ada@example.com", SECRET_VALUE: 1},
        {"email": "ada@example.com", "consent": {SECRET_VALUE: True}},
        {"email": "ada@example.com", "attributes": SECRET_VALUE},
        {"email": [SECRET_VALUE]},
    ],
)
async def test_no_value_that_was_sent_is_repeated(api: Caller, body: object) -> None:
    answer = await api.post("/v1/contacts", body)
    assert_problem(answer, 422)
    assert "ada.private" not in answer.text
    answer = await api.get("/v1/contacts", email=f"{SECRET_VALUE}@")
    assert_problem(answer, 422)
    assert "ada.private" not in answer.text


async def test_choices_are_told_as_they_are_sent(api: Caller) -> None:
    rosa = (await api.post("/v1/people", {"name": "Rosa", "email": "rosa@example.com"})).json()["id"]
    decision = await api.post(f"/v1/approvals/{rosa}/decision", {"decision": "maybe"}, cauce_person=rosa)
    assert assert_problem(decision, 422)["detail"] == "body.decision: Input should be 'approve' or 'reject'"
    rule = {"name": "all", "role": "sales", "strategy": "lottery"}
    rules = assert_problem(await api.http.put("/v1/lead-rules", json={"rules": [rule]}), 422)
    assert rules["detail"].startswith("body.rules.0.strategy: Input should be 'round_robin', ")


async def test_of_a_bad_element_it_is_not_told_too_that_there_are_too_few(api: Caller) -> None:
    plan = {"stages": [{"asks": [{"role": "Sales"}]}, {"asks": []}]}
    enrollment = {"contact": ADA, "settings": {"approval": plan}}
    problem = assert_problem(await api.post("/v1/flows/reactivation/enrollments", enrollment), 422)
    stages = "body.settings.approval.stages"
    assert fields_at_fault(problem) == [f"{stages}.0.asks.0.role", f"{stages}.1.asks"]


@pytest.mark.parametrize("body", [b'{"email": ', b'{"reason": "holidays"}'])
async def test_operation_that_takes_no_body_reads_none(api: Caller, body: bytes) -> None:
    assert (await _send(api, "/v1/flows/onboarding/hold", body)).status_code == 202


async def test_unknown_address_and_method_are_problems(api: Caller) -> None:
    assert_problem(await api.get("/v2/contacts"), 404, "not-found")
    answer = await api.http.delete("/v1/contacts")
    assert_problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST"}
    assert_problem(await api.http.request("BREW", "/v1/events"), 405)


@pytest.mark.parametrize("path", [*POSTS, "/v1/enrollments", "/unsubscribe/token"])
async def test_body_above_the_limit_is_refused(api: Caller, path: str) -> None:
    assert_problem(await _send(api, path, b'"' + b"x" * 1_000_000 + b'"'), 413, "request-entity-too-large")


async def test_body_in_chunks_above_the_limit_is_refused(api: Caller) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    answer = await api.http.post("/v1/contacts", content=chunks(), headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "request-entity-too-large")


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "declared"])
async def test_ten_megabytes_over_a_real_connection_get_their_answer(
    api: Caller, unused_port: Callable[[], int], chunked: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 50_000

    port = unused_port()
    async with served(api, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        content = chunks() if chunked else b"x" * 10_000_000
        answer = await http.post("/v1/contacts", content=content, headers={"Content-Type": "application/json"})
        assert_problem(answer, 413, "request-entity-too-large")
        assert (await http.post("/v1/contacts", json=ADA)).status_code == 201
