"""The codec endpoint: the Temporal Web UI and programs that hold a key read what is encrypted; nobody else does."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload, Payloads

from runtime.encryption import data_converter
from runtime.encryption_keys import EncryptionKey
from runtime.settings import Settings
from tests.api.caller import Caller, assert_problem, calling, client_of_nobody

KEY = EncryptionKey("2026-11", b"\x01" * 32)
BEFORE = EncryptionKey("2025-11", b"\x02" * 32)
API_KEY = "key-of-the-operators"
WEB_UI = "https://temporal.example.com"
ELSEWHERE = [
    "https://evil.example.com",
    "null",
    "",
    "http://127.0.0.1:8000",
    f"{WEB_UI}.evil.com",
    f"{WEB_UI}:8443",
    "http://temporal.example.com",
]
VALUES = [{"id": "019a3c5d"}, "until 3 days after welcome", None]


@asynccontextmanager
async def opened(settings: Settings, port: int, **told: Any) -> AsyncIterator[Caller]:
    """The API with encryption, while Temporal is away: the codec needs it for nothing."""
    given = settings.model_dump(exclude_unset=True)
    told = {"temporal_ui_url": WEB_UI, "encryption_keys": (KEY, BEFORE), **told}
    async with calling(Settings.model_validate({**given, **told}), await client_of_nobody(port)) as caller:
        yield caller


@pytest.fixture
async def here(settings: Settings, unused_port: Callable[[], int]) -> AsyncIterator[Caller]:
    """Without API keys: for this machine."""
    async with opened(settings, unused_port()) as caller:
        yield caller


@pytest.fixture
async def keyed(settings: Settings, unused_port: Callable[[], int]) -> AsyncIterator[Caller]:
    async with opened(settings, unused_port(), api_keys=(API_KEY,)) as caller:
        yield caller


def as_json(payloads: Sequence[Payload]) -> dict[str, Any]:
    return MessageToDict(Payloads(payloads=payloads))


async def encrypted(*keys: EncryptionKey, values: Sequence[object] = VALUES) -> dict[str, Any]:
    return as_json(await data_converter(keys).encode(values))


async def decode(api: Caller, body: Any, **headers: str) -> httpx.Response:
    return await api.http.post("/codec/decode", json=body, headers=headers)


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"operator:{password}".encode()).decode()


async def test_the_web_ui_reads_what_workers_wrote(here: Caller) -> None:
    sent = await encrypted(KEY)
    answer = await decode(here, sent, Origin=WEB_UI, **{"X-Namespace": "default"})
    assert answer.status_code == 200, answer.text
    plain = ParseDict(answer.json(), Payloads())
    assert await data_converter(()).decode(plain.payloads) == VALUES
    assert [payload.metadata["encoding"] for payload in plain.payloads] == [
        b"json/plain",
        b"json/plain",
        b"binary/null",
    ]


async def test_workers_read_what_the_web_ui_sends(here: Caller) -> None:
    answer = await here.post("/codec/encode", await encrypted())
    assert "until" not in str([base64.b64decode(each["data"]) for each in answer.json()["payloads"]])
    assert await data_converter([KEY]).decode(ParseDict(answer.json(), Payloads()).payloads) == VALUES


async def test_every_key_and_none_may_come_in_one_request(here: Caller) -> None:
    """A history of before, one key later, and another key later."""
    parts = [await encrypted(*keys, values=[number]) for number, keys in enumerate(((), (BEFORE,), (KEY,)))]
    mixed = {"payloads": [part["payloads"][0] for part in parts]}
    answer = await decode(here, mixed)
    assert await data_converter(()).decode(ParseDict(answer.json(), Payloads()).payloads) == [0, 1, 2]


async def test_no_payloads_are_no_payloads(here: Caller) -> None:
    assert (await decode(here, {"payloads": []})).json() == {"payloads": []}


@pytest.mark.parametrize("operation", ["encode", "decode"])
async def test_only_who_has_a_key_may_ask(keyed: Caller, operation: str) -> None:
    body = await encrypted(KEY)
    for authorization in (f"Bearer {API_KEY}", basic(API_KEY)):
        headers = {"Authorization": authorization, "Origin": WEB_UI, "Host": "news.example.com"}
        assert (await keyed.http.post(f"/codec/{operation}", json=body, headers=headers)).status_code == 200
    for authorization in ("", "Bearer ", f"Bearer {API_KEY}x", basic("wrong"), basic(""), API_KEY, "Basic %%%"):
        headers = {"Authorization": authorization, "Origin": WEB_UI}
        answer = await keyed.http.post(f"/codec/{operation}", json=body, headers=headers)
        assert_problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Basic"), "a browser asks a person for it"
        assert answer.headers["access-control-allow-origin"] == WEB_UI, "the Web UI may read why it got nothing"


async def test_a_body_is_not_looked_at_before_the_key_is(keyed: Caller) -> None:
    answer = await keyed.http.post("/codec/decode", content=b"{", headers={"Content-Type": "application/json"})
    assert_problem(answer, 401)


@pytest.mark.parametrize("api_keys", [(), (API_KEY,)], ids=["without keys", "with the key"])
async def test_a_page_from_elsewhere_gets_nothing_whatever_key_its_browser_holds(
    settings: Settings, unused_port: Callable[[], int], api_keys: Sequence[str]
) -> None:
    async with opened(settings, unused_port(), api_keys=api_keys) as api:
        for origin in ELSEWHERE:
            answer = await decode(api, await encrypted(KEY), Origin=origin, Authorization=basic(API_KEY))
            problem = assert_problem(answer, 403, "web-ui-only")
            assert "CAUCE_TEMPORAL_UI_URL" in problem["detail"]
            assert answer.headers["access-control-allow-origin"] == WEB_UI


async def test_without_keys_a_name_that_was_made_to_lead_here_gets_nothing(here: Caller) -> None:
    for host in ("evil.example.com", "127.0.0.1.nip.io", "192.168.1.2:8000"):
        for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}, {"Host": host, "Origin": WEB_UI}):
            assert_problem(await decode(here, await encrypted(KEY), **headers), 403)


async def test_a_page_cannot_ask_without_asking_its_browser_first(here: Caller) -> None:
    """Any other type than JSON is what a browser sends to another origin without a preflight."""
    body = '{"payloads": []}'
    answer = await here.http.post(
        "/codec/decode", content=body, headers={"Content-Type": "text/plain", "Origin": WEB_UI}
    )
    assert_problem(answer, 415)


@pytest.mark.parametrize("operation", ["encode", "decode"])
async def test_a_browser_learns_what_the_web_ui_may_send(keyed: Caller, operation: str) -> None:
    asked = {
        "Origin": WEB_UI,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-namespace",
    }
    answer = await keyed.http.options(f"/codec/{operation}", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == WEB_UI
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-methods"] == "POST"
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert allowed == {"authorization", "content-type", "x-namespace"}


async def test_a_browser_learns_that_no_other_page_may(keyed: Caller) -> None:
    for origin in ELSEWHERE:
        answer = await keyed.http.options("/codec/decode", headers={"Origin": origin})
        assert_problem(answer, 403)
        assert answer.headers["access-control-allow-origin"] == WEB_UI


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:8233", "http://127.0.0.1:8233"),
        ("http://[::1]:8233/", "http://[::1]:8233"),
        ("https://Temporal.Example.com:443/ui/", "https://temporal.example.com"),
        ("https://ops:hush@temporal.example.com:8443", "https://temporal.example.com:8443"),
    ],
)
async def test_an_origin_is_what_browsers_say(
    settings: Settings, unused_port: Callable[[], int], url: str, origin: str
) -> None:
    async with opened(settings, unused_port(), temporal_ui_url=url) as api:
        answer = await decode(api, {"payloads": []}, Origin=origin)
        assert answer.status_code == 200, answer.text
        assert answer.headers["access-control-allow-origin"] == origin


async def test_no_other_origin_is_let_in_anywhere_else(here: Caller) -> None:
    for path in ("/v1/flows", "/outbox", "/healthz", "/codec"):
        answer = await here.http.get(path, headers={"Origin": WEB_UI})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("method", "path"), [("POST", "encode"), ("POST", "decode"), ("OPTIONS", "decode")])
async def test_there_is_no_codec_while_nothing_is_encrypted(api: Caller, method: str, path: str) -> None:
    answer = await api.http.request(method, f"/codec/{path}", json={"payloads": []})
    problem = assert_problem(answer, 404, "encryption-off")
    assert "CAUCE_ENCRYPTION_KEYS" in problem["detail"]


async def test_a_payload_of_an_unknown_key_names_the_key(here: Caller) -> None:
    gone = EncryptionKey("2024-11", b"\x03" * 32)
    answer = await decode(here, await encrypted(gone))
    problem = assert_problem(answer, 400, "cannot-decrypt")
    assert "key 2024-11, which CAUCE_ENCRYPTION_KEYS does not have" in problem["detail"]


async def test_a_payload_that_was_changed_is_refused(here: Caller) -> None:
    body = await encrypted(KEY)
    body["payloads"][1]["data"] = body["payloads"][0]["data"][:-8]
    assert_problem(await decode(here, body), 400, "cannot-decrypt")


JUNK = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'{"payload": []}',
    b'{"payloads": {}}',
    b'{"payloads": "all"}',
    b'{"payloads": [null]}',
    b'{"payloads": [1]}',
    b'{"payloads": [{"data": 1}]}',
    b'{"payloads": [{"data": "\\ud800"}]}',
    b'{"payloads": [{"metadata": {"\\ud800": "eA=="}}]}',
    b'{"payloads": [{"metadata": {"encoding": {}}}]}',
    b'{"payloads": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"payloads": [{"data": ' + b"9" * 6000 + b"}]}",
    b"\xff\xfe",
]


@pytest.mark.parametrize("operation", ["encode", "decode"])
async def test_junk_is_refused_and_not_repeated(here: Caller, operation: str) -> None:
    for junk in JUNK:
        sent = await here.http.post(f"/codec/{operation}", content=junk, headers={"Content-Type": "application/json"})
        assert sent.status_code == 400, junk
        problem = assert_problem(sent, 400, "no-payloads")
        assert problem["detail"].startswith("a body has to be JSON as Temporal writes it: ")
        assert "\\ud800" not in sent.text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["eA==", "YmluYXJ5L2VuY3J5cHRlZA=="]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metadata", "data", "encoding", "encryption-key-id"]), inner)
    ),
    max_leaves=8,
)


@examples(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=JSON)
async def test_nothing_that_is_sent_is_our_fault(here: Caller, payloads: Any) -> None:
    answer = await decode(here, {"payloads": payloads})
    assert answer.status_code == 200 or assert_problem(answer, 400)
