"""The CRM's webhook against a real HTTP server that takes, refuses, fails and hangs."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast

import pytest

from domain.crm import AddNote, AddScore, Crm, CrmUnavailable, SetFields
from integrations.webhook.addresses import is_public
from integrations.webhook.crm import WebhookCrm
from integrations.webhook.signature import signature
from store.crm import DatabaseCrm
from store.database import Database
from store.tables import EnrollmentRow
from tests.integrations.crm_contract import CrmContract, asked, changes, contact_of, ended, enrolled
from tests.integrations.scripted_server import Answer
from tests.integrations.webhook_receiver import WebhookReceiver

SECRET = "hush-0123456789abcdef"
DOCUMENT = Path(__file__).parents[2] / "docs/crm-webhook.md"
TEN = AddScore(points=10)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as listening:
        yield listening


@pytest.fixture
async def crm(database: Database, receiver: WebhookReceiver) -> AsyncIterator[WebhookCrm]:
    async with mirrored(database, receiver.url) as opened:
        yield opened


@pytest.fixture
async def enrollment(database: Database) -> EnrollmentRow:
    return await enrolled(database)


@asynccontextmanager
async def mirrored(database: Database, url: str, **options: Any) -> AsyncIterator[WebhookCrm]:
    opened = WebhookCrm(DatabaseCrm(database, mirrored=True), url, SECRET, **{"allow_private": True, **options})
    yield opened
    await opened.close()


async def unavailable(crm: Crm, enrollment: EnrollmentRow) -> CrmUnavailable:
    """Ask for ten points, and expect to have to ask again, for a reason that tells no secret and no place."""
    with pytest.raises(CrmUnavailable) as caught:
        await crm.apply(asked(enrollment, TEN))
    assert not re.search(r"hush|127\.0\.0\.1|from=cauce|receiver\.example", caught.value.reason)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


class TestWebhookCrm(CrmContract):
    @pytest.fixture
    async def crm(self, database: Database, receiver: WebhookReceiver) -> AsyncIterator[Crm]:
        async with mirrored(database, receiver.url) as opened:
            yield opened

    async def test_each_change_was_posted_once(
        self, database: Database, crm: Crm, enrollment: EnrollmentRow, receiver: WebhookReceiver
    ) -> None:
        orders = [asked(enrollment, TEN, f"step-{number}") for number in range(20)]
        applied = await asyncio.gather(*map(crm.apply, orders))
        assert sorted(post.json["id"] for post in receiver.posted) == sorted(change.id for change in applied)
        assert {row.mirror for row in await changes(database)} == {"told"}


# -- What is posted ----------------------------------------------------------------------------------------------------


async def test_what_is_posted_is_what_the_document_says(
    crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    applied = await crm.apply(asked(enrollment, TEN))
    (post,) = receiver.posted
    example = json.loads(re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)[0])
    assert list(post.json) == list(example)
    assert post.json == {
        "id": applied.id,
        "occurred_at": applied.applied_at.isoformat().replace("+00:00", "Z"),
        "kind": "score",
        "contact_id": enrollment.contact_id,
        "enrollment_id": enrollment.id,
        "flow": "nurturing",
        "step": "clicked-guide",
        "change": {"points": 10},
        "result": {"score": 10},
    }
    assert post.path == "/hook?from=cauce"
    assert post.headers["idempotency-key"] == applied.id
    assert post.headers["content-type"] == "application/json"


async def test_text_of_any_language_arrives_as_it_was_written(
    crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    await crm.apply(asked(enrollment, AddNote(text="Pidió una demo: «mañana»")))
    await crm.apply(asked(enrollment, SetFields(fields={"niño": None, "emoji": "🎈"}), "fields"))
    assert [post.json["change"] for post in receiver.posted] == [
        {"text": "Pidió una demo: «mañana»"},
        {"fields": {"niño": None, "emoji": "🎈"}},
    ]


@pytest.fixture(scope="session")
def is_from_cauce(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, bytes], bool]:
    """The check that the document tells receivers to make."""
    path = tmp_path_factory.mktemp("receiver") / "check.py"
    (code,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Callable[[str, str, bytes], bool]", module.is_from_cauce)


async def test_a_receiver_tells_our_posts_from_others(
    crm: WebhookCrm,
    enrollment: EnrollmentRow,
    receiver: WebhookReceiver,
    is_from_cauce: Callable[[str, str, bytes], bool],
) -> None:
    await crm.apply(asked(enrollment, TEN))
    (post,) = receiver.posted
    header = post.headers["cauce-signature"]
    assert is_from_cauce(SECRET, header, post.body)
    assert not is_from_cauce("another-secret-of-sixteen", header, post.body)
    assert not is_from_cauce(SECRET, header, post.body.replace(b"10", b"99"))
    seconds = int(header[2:12])
    assert not is_from_cauce(SECRET, header.replace(str(seconds), str(seconds - 1)), post.body)
    for forged in ("", "t=,v1=", f"t={seconds},v1=", f"t={seconds},v1=ñ"):
        assert not is_from_cauce(SECRET, forged, post.body)
    assert not is_from_cauce(SECRET, signature(SECRET, post.body, seconds - 3600), post.body)


async def test_one_connection_serves_change_after_change(
    crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    receiver.script(Answer(status=200, body=b"thanks"), Answer(status=400, body=b"no"))
    for number in range(10):
        await crm.apply(asked(enrollment, TEN, f"step-{number}"))
    assert (len(receiver.posted), receiver.connections) == (10, 1)


async def test_no_answer_is_too_long(crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver) -> None:
    receiver.script(Answer(status=200, body=b"x" * 5_000_000))
    assert (await crm.apply(asked(enrollment, TEN))).result == {"score": 10}


# -- What is answered --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202, 204, 409])
async def test_what_was_taken_is_told(
    database: Database, crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver, status: int
) -> None:
    receiver.script(Answer(status=status))
    await crm.apply(asked(enrollment, TEN))
    await crm.apply(asked(enrollment, TEN))
    assert len(receiver.posted) == 1
    assert [row.mirror for row in await changes(database)] == ["told"]


@pytest.mark.parametrize("status", [400, 403, 404, 410, 413, 422])
async def test_what_is_refused_for_good_stands_here_and_is_noted(
    database: Database, crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver, status: int
) -> None:
    receiver.script(Answer(status=status, body=b"hush: unknown contact"))
    for _ in range(2):
        assert (await crm.apply(asked(enrollment, TEN))).result == {"score": 10}
    assert len(receiver.posted) == 1
    (row,) = await changes(database)
    assert (row.mirror, row.mirror_refusal) == ("refused", f"the receiver answered {status}")


@pytest.mark.parametrize(
    ("answer", "retry_after"),
    [
        (Answer(status=429, headers={"Retry-After": "30"}), timedelta(seconds=30)),
        (Answer(status=503, headers={"Retry-After": "0"}), timedelta(seconds=1)),
        (Answer(status=503, headers={"Retry-After": "9" * 30}), timedelta(hours=1)),
        (Answer(status=429, headers={"Retry-After": "9" * 5000}), None),
        (Answer(status=429, headers={"Retry-After": "soon"}), None),
        (Answer(status=429, headers={"Retry-After": "-5"}), None),
        (Answer(status=408), None),
        (Answer(status=425), None),
        (Answer(status=500, body=b"hush: a stack trace"), None),
        (Answer(status=599), None),
        (Answer(status=401), timedelta(minutes=5)),
        (Answer(status=302, headers={"Location": "/elsewhere"}), timedelta(minutes=5)),
        (Answer(lost="cut"), None),
        (Answer(lost="held"), None),
    ],
)
async def test_what_was_not_taken_is_posted_again_with_the_same_id_and_applied_once(
    database: Database, enrollment: EnrollmentRow, receiver: WebhookReceiver, answer: Answer, retry_after: timedelta
) -> None:
    timeout = timedelta(seconds=0.3 if answer.lost == "held" else 10)
    async with mirrored(database, receiver.url, timeout=timeout) as crm:
        receiver.script(answer)
        assert (await unavailable(crm, enrollment)).retry_after == retry_after
        assert [row.mirror for row in await changes(database)] == ["owed"]
        applied = await crm.apply(asked(enrollment, TEN))
    assert [post.json["id"] for post in receiver.posted] == [applied.id, applied.id]
    assert receiver.posted[0].body == receiver.posted[1].body
    assert (await contact_of(database, enrollment)).score == 10


async def test_a_date_says_until_when_too(
    crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    in_ten_minutes = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    receiver.script(Answer(status=503, headers={"Retry-After": in_ten_minutes}))
    retry_after = (await unavailable(crm, enrollment)).retry_after
    assert retry_after is not None
    assert timedelta(minutes=9) < retry_after <= timedelta(minutes=10)


async def test_nobody_listening_is_tried_again(
    database: Database, enrollment: EnrollmentRow, unused_port: Callable[[], int]
) -> None:
    async with mirrored(database, f"http://127.0.0.1:{unused_port()}") as crm:
        assert "ConnectError" in (await unavailable(crm, enrollment)).reason


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
async def test_a_name_that_cannot_be_one_is_tried_again(
    database: Database, enrollment: EnrollmentRow, host: str
) -> None:
    async with mirrored(database, f"http://{host}/") as crm:
        await unavailable(crm, enrollment)


async def test_a_name_that_leads_nowhere_is_tried_again(database: Database, enrollment: EnrollmentRow) -> None:
    async with mirrored(database, "http://receiver.example/", resolve=Name([])) as crm:
        await unavailable(crm, enrollment)


async def test_neither_secret_nor_signature_nor_answer_is_logged(
    crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.script(Answer(status=500, body=b"hush-answer"), Answer(status=400, body=b"hush-answer"))
    await unavailable(crm, enrollment)
    await crm.apply(asked(enrollment, TEN))
    assert "the receiver answered 400" in caplog.text
    assert "hush" not in caplog.text
    for post in receiver.posted:
        assert post.headers["cauce-signature"] not in caplog.text


# -- What was left untold ----------------------------------------------------------------------------------------------


async def test_what_a_contact_left_behind_is_told_by_a_sweep_in_order(
    database: Database, crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    receiver.script(Answer(status=503), Answer(status=503), Answer(status=503))
    ids = []
    for number in range(2):
        with pytest.raises(CrmUnavailable):
            await crm.apply(asked(enrollment, TEN, f"step-{number}"))
        ids.append(receiver.posted[-1].json["id"])
    assert await crm.catch_up() == 0  # the enrollment goes on, and its next attempts tell of them
    await ended(database, enrollment)
    assert await crm.catch_up() == 0  # the third answer: the receiver is down still
    assert await crm.catch_up() == 2
    assert await crm.catch_up() == 0
    assert [post.json["id"] for post in receiver.posted[3:]] == ids
    assert {row.mirror for row in await changes(database)} == {"told"}


async def test_without_a_webhook_nothing_is_owed_to_one_that_comes_later(
    database: Database, crm: WebhookCrm, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    await DatabaseCrm(database).apply(asked(enrollment, TEN))
    await crm.apply(asked(enrollment, TEN))
    await ended(database, enrollment)
    assert await crm.catch_up() == 0
    assert receiver.posted == []


# -- Where it goes -----------------------------------------------------------------------------------------------------

PRIVATE = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254"),  # noqa: S104
    *("100.64.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2001:0:7f00:1::", "2001:0:808:808::"),
]


class Name:
    """A resolver that knows one answer after another."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]])
async def test_a_name_with_an_address_that_is_not_public_gets_nothing(
    database: Database, enrollment: EnrollmentRow, receiver: WebhookReceiver, addresses: list[str]
) -> None:
    url = f"https://receiver.example:{receiver.port}/"
    async with mirrored(database, url, allow_private=False, resolve=Name(addresses)) as crm:
        error = await unavailable(crm, enrollment)
    assert "not public" in error.reason
    assert error.retry_after == timedelta(minutes=5)
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1"])
async def test_names_that_the_system_knows_as_the_loopback_get_nothing(
    database: Database, enrollment: EnrollmentRow, receiver: WebhookReceiver, host: str
) -> None:
    async with mirrored(database, f"https://{host}:{receiver.port}/", allow_private=False) as crm:
        await unavailable(crm, enrollment)
    assert receiver.connections == 0


async def test_what_was_looked_up_once_is_where_it_goes(
    database: Database, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    name = Name(["127.0.0.1"])
    async with mirrored(database, f"http://receiver.example:{receiver.port}/", resolve=name) as crm:
        await crm.apply(asked(enrollment, TEN))
    assert name.asked == [("receiver.example", receiver.port)]
    assert receiver.posted[0].headers["host"] == f"receiver.example:{receiver.port}"


async def test_the_second_address_serves_when_the_first_does_not(
    database: Database, enrollment: EnrollmentRow, receiver: WebhookReceiver
) -> None:
    name = Name(["::1", "127.0.0.1"])
    async with mirrored(database, f"http://receiver.example:{receiver.port}/", resolve=name) as crm:
        await crm.apply(asked(enrollment, TEN))
    assert len(receiver.posted) == 1


async def test_the_certificate_that_is_asked_for_is_that_of_the_name(
    database: Database, enrollment: EnrollmentRow
) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"https://receiver.example:{server.getsockname()[1]}/"
        async with mirrored(database, url, resolve=Name(["127.0.0.1"])) as crm:
            applying = asyncio.create_task(unavailable(crm, enrollment))
            connection, _ = await loop.sock_accept(server)
            with connection:
                hello = await loop.sock_recv(connection, 65_536)
            await applying
    assert b"receiver.example" in hello
    assert b"Cauce-Signature" not in hello


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "is not one"),
        ("crm.example.com/hook", "is not one"),
        ("ftp://crm.example.com", "is not one"),
        ("https://", "is not one"),
        ("https://[::1", "is not one"),
        ("http://crm.example.com/hush", "not be encrypted"),
        ("https://10.0.0.1/hush", "not public"),
        ("https://[::1]/hush", "not public"),
    ],
)
async def test_a_url_that_cannot_be_one_is_refused_at_once(database: Database, url: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"{told}: set CAUCE_CRM_WEBHOOK_URL|{told}.*set CAUCE_CRM") as refusal:
        WebhookCrm(DatabaseCrm(database, mirrored=True), url, SECRET)
    assert "hush" not in str(refusal.value)
