"""SendGrid's mailer against a real HTTP server that answers, refuses and fails as SendGrid does."""

from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.messages import (
    DeliveryAmbiguous,
    Mailer,
    MailerError,
    MessageRejected,
    NotAccepted,
    ProviderUnavailable,
    RateLimited,
)
from integrations.sendgrid.mailer import SendGridMailer
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid, failure
from tests.integrations.mailer_contract import MARISOL, Arrived, MailerContract, a_message
from tests.integrations.scripted_server import Answer

SOON = timedelta(milliseconds=200)


@dataclass
class SendGridProvider:
    mailer: Mailer
    sendgrid: FakeSendGrid

    def arrived(self) -> list[Arrived]:
        return [_arrived(body) for body in self.sendgrid.accepted]


def _arrived(body: dict[str, Any]) -> Arrived:
    [personalization] = body["personalizations"]
    [recipient] = personalization["to"]
    text, html = (part["value"] for part in body["content"])
    flow, step = body["categories"]
    return Arrived(
        message_id=body["custom_args"]["cauce_message_id"],
        from_name=body["from"]["name"],
        from_email=body["from"]["email"],
        to_name=recipient.get("name", ""),
        to_email=recipient["email"],
        subject=body["subject"],
        text=text,
        html=html,
        flow=flow,
        step=step.removeprefix(f"{flow}/"),
        headers={name.lower(): value for name, value in body.get("headers", {}).items()},
    )


class TestSendGridMailer(MailerContract):
    @pytest.fixture
    def provider(self, mailer: SendGridMailer, sendgrid: FakeSendGrid) -> SendGridProvider:
        return SendGridProvider(mailer, sendgrid)


def test_the_body_is_the_one_that_sendgrid_documents(mailer: SendGridMailer, sendgrid: FakeSendGrid) -> None:
    message = a_message()
    mailer.send(message)
    assert sendgrid.accepted == [
        {
            "personalizations": [{"to": [{"email": message.to_email, "name": message.to_name}]}],
            "from": {"email": MARISOL.email, "name": MARISOL.name},
            "subject": message.subject,
            "content": [{"type": "text/plain", "value": message.text}, {"type": "text/html", "value": message.html}],
            "custom_args": {"cauce_message_id": message.id},
            "categories": ["nurturing", "nurturing/case-study"],
            "headers": {
                "List-Unsubscribe": f"<{message.unsubscribe_url}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
            "tracking_settings": {"subscription_tracking": {"enable": False}},
        }
    ]


def test_the_receipt_holds_sendgrids_id_or_else_ours(mailer: SendGridMailer, sendgrid: FakeSendGrid) -> None:
    message = a_message()
    sendgrid.script(Answer(headers={"X-Message-Id": "sg-1"}), Answer(), Answer(headers={"X-Message-Id": "x" * 500}))
    ids = [mailer.send(message).provider_message_id for _ in range(3)]
    assert ids == ["sg-1", message.id, "x" * 100]


def refused(mailer: SendGridMailer) -> MailerError:
    """Send a message, and expect a failure that tells nobody's address, name or key."""
    with pytest.raises(MailerError) as caught:
        mailer.send(a_message())
    error: BaseException | None = caught.value
    while error is not None:
        for secret in ("ada", "example.org", "Condesa", API_KEY):
            assert secret not in str(error)
        error = error.__cause__
    assert str(caught.value) == caught.value.reason
    return caught.value


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_message_that_sendgrid_finds_wrong_is_rejected_for_good(
    mailer: SendGridMailer, sendgrid: FakeSendGrid, status: int
) -> None:
    sendgrid.script(
        failure(
            status,
            ("Does not contain a valid address: ada@example.org", "personalizations.0.to.0.email"),
            ("ada@example.org", "ada@example.org"),
            ("no field", None),
            ("The subject is required", "subject"),
        )
    )
    error = refused(mailer)
    assert type(error) is MessageRejected
    assert error.reason == f"SendGrid answered {status}: personalizations.0.to.0.email, subject"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"errors": 1}', b'{"errors": [1]}', b'{"errors": [{}]}', b"\xff"]
)
def test_a_rejection_that_names_no_field_says_so(mailer: SendGridMailer, sendgrid: FakeSendGrid, body: bytes) -> None:
    sendgrid.script(Answer(status=400, body=body))
    assert refused(mailer).reason == "SendGrid answered 400: no field named"


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 406, 408, 415, 451])
def test_an_answer_about_our_settings_asks_to_mend_them_and_is_tried_again(
    mailer: SendGridMailer, sendgrid: FakeSendGrid, status: int
) -> None:
    sendgrid.script(Answer(status=status, headers={"Location": f"{sendgrid.url}/v3/mail/send"}))
    error = refused(mailer)
    assert type(error) is ProviderUnavailable
    assert "check SENDGRID_API_KEY, CAUCE_SENDGRID_URL" in error.reason
    assert error.retry_after == timedelta(minutes=5)
    assert sendgrid.requests == 1


def test_a_wrong_sender_costs_no_message(mailer: SendGridMailer, sendgrid: FakeSendGrid) -> None:
    sendgrid.script(failure(400, ("The from email does not contain a valid address.", "from.email")))
    error = refused(mailer)
    assert type(error) is ProviderUnavailable
    assert "CAUCE_SENDER_EMAIL" in error.reason


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
def test_a_host_name_that_cannot_be_one_is_surely_not_sent(host: str) -> None:
    assert type(refused(SendGridMailer(API_KEY, f"http://{host}"))) is ProviderUnavailable


def test_a_wrong_key_mends_when_the_key_is_mended(sendgrid: FakeSendGrid) -> None:
    message = a_message()
    with pytest.raises(ProviderUnavailable, match="SENDGRID_API_KEY"):
        SendGridMailer("SG.another", sendgrid.url).send(message)
    SendGridMailer(API_KEY, sendgrid.url).send(message)
    assert len(sendgrid.messages(message.id)) == 1


@pytest.mark.parametrize(
    ("reset_in", "at_least", "at_most"),
    [(30, 25, 30), (0, 1, 1), (-900, 1, 1), (7200, 3600, 3600), (10**300, 3600, 3600)],
)
def test_too_many_messages_wait_until_the_limit_resets(
    mailer: SendGridMailer, sendgrid: FakeSendGrid, reset_in: int, at_least: int, at_most: int
) -> None:
    sendgrid.script(Answer(status=429, headers={"X-RateLimit-Reset": str(int(time.time()) + reset_in)}))
    error = refused(mailer)
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert timedelta(seconds=at_least) <= error.retry_after <= timedelta(seconds=at_most)


@pytest.mark.parametrize("reset", [None, "", "soon", "nan", "1e9", "9" * 400, "9" * 5000])
def test_too_many_messages_without_a_readable_reset_leave_the_wait_to_the_caller(
    mailer: SendGridMailer, sendgrid: FakeSendGrid, reset: str | None
) -> None:
    sendgrid.script(Answer(status=429, headers={} if reset is None else {"X-RateLimit-Reset": reset}))
    error = refused(mailer)
    assert isinstance(error, RateLimited)
    assert error.retry_after is None


@pytest.mark.parametrize("status", [500, 503])
def test_an_outage_of_sendgrid_is_tried_again(mailer: SendGridMailer, sendgrid: FakeSendGrid, status: int) -> None:
    sendgrid.script(Answer(status=status))
    assert type(refused(mailer)) is ProviderUnavailable


@pytest.mark.parametrize("status", [502, 504, 520, 599])
def test_an_answer_of_a_gateway_is_ambiguous(mailer: SendGridMailer, sendgrid: FakeSendGrid, status: int) -> None:
    sendgrid.script(Answer(status=status))
    assert type(refused(mailer)) is DeliveryAmbiguous


def test_an_answer_that_takes_too_long_is_ambiguous(sendgrid: FakeSendGrid) -> None:
    sendgrid.script(Answer(lost="held"))
    assert type(refused(SendGridMailer(API_KEY, sendgrid.url, read_timeout=SOON))) is DeliveryAmbiguous
    assert len(sendgrid.accepted) == 1


def test_a_connection_cut_after_the_request_is_ambiguous(mailer: SendGridMailer, sendgrid: FakeSendGrid) -> None:
    sendgrid.script(Answer(lost="cut"))
    assert type(refused(mailer)) is DeliveryAmbiguous
    assert len(sendgrid.accepted) == 1
    mailer.send(a_message())
    assert len(sendgrid.accepted) == 2


def test_a_server_that_speaks_no_http_is_ambiguous() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:

        def babble() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 smtp.example.net ESMTP\r\n\r\n")

        babbling = thread.submit(babble)
        error = refused(SendGridMailer(API_KEY, f"http://127.0.0.1:{server.getsockname()[1]}"))
        babbling.result()
    assert type(error) is DeliveryAmbiguous


def test_a_refused_connection_is_surely_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = refused(SendGridMailer(API_KEY, f"http://127.0.0.1:{port}"))
    assert type(error) is ProviderUnavailable
    assert isinstance(error, NotAccepted)


def test_a_connection_that_nobody_takes_is_surely_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:  # fills the backlog: the kernel then lets further ones wait
                client.setblocking(False)
                client.connect_ex(address)
            error = refused(SendGridMailer(API_KEY, f"http://127.0.0.1:{address[1]}", connect_timeout=SOON))
        finally:
            for client in waiting:
                client.close()
    assert type(error) is ProviderUnavailable
    assert "ConnectTimeout" in error.reason


def test_a_full_pool_is_surely_not_sent(sendgrid: FakeSendGrid) -> None:
    mailer = SendGridMailer(API_KEY, sendgrid.url, connections=1, pool_timeout=SOON, read_timeout=5 * SOON)
    sendgrid.script(Answer(lost="held"))
    with ThreadPoolExecutor(2) as threads:
        outcomes = [future.exception() for future in [threads.submit(mailer.send, a_message()) for _ in range(2)]]
    assert {type(outcome) for outcome in outcomes} == {DeliveryAmbiguous, ProviderUnavailable}
    assert sendgrid.requests == 1


def test_one_connection_serves_message_after_message(mailer: SendGridMailer, sendgrid: FakeSendGrid) -> None:
    sendgrid.script(Answer(status=429), Answer(status=500), Answer(status=400, body=b'{"errors": []}'))
    for _ in range(3):
        refused(mailer)
    for _ in range(20):
        mailer.send(a_message())
    assert (sendgrid.requests, sendgrid.connections) == (23, 1)


def test_threads_share_as_many_connections_as_there_are_threads(mailer: SendGridMailer, sendgrid: FakeSendGrid) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(mailer.send, [a_message() for _ in range(100)]))
    assert len(sendgrid.accepted) == 100
    assert sendgrid.connections <= 4


def test_the_key_and_the_contact_are_in_no_log(
    mailer: SendGridMailer, sendgrid: FakeSendGrid, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mailer.send(a_message())
    sendgrid.script(Answer(status=401), Answer(lost="cut"), failure(400, ("ada@example.org", "subject")))
    for _ in range(3):
        refused(mailer)
    assert "httpcore" in {record.name.partition(".")[0] for record in caplog.records}
    for secret in (API_KEY, "ada@", "Condesa"):
        assert secret not in caplog.text
        assert secret not in repr(mailer)


@pytest.mark.parametrize("key", ["", " ", "\n", "SG.k\n", "SG.k\r\nX-Evil: 1", "SG.ñ", "SG. k"])
def test_a_key_that_cannot_be_one_is_refused_at_once(key: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*set SENDGRID_API_KEY$") as refusal:
        SendGridMailer(key)
    assert "SG." not in str(refusal.value)


@pytest.mark.parametrize("url", ["", "api.sendgrid.com", "ftp://api.sendgrid.com", "https://", "http://[::1"])
def test_a_url_that_cannot_be_one_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="set CAUCE_SENDGRID_URL"):
        SendGridMailer(API_KEY, url)


def test_a_text_that_leaks_a_sendgrid_key_is_rejected(mailer: SendGridMailer) -> None:
    with pytest.raises(MessageRejected, match="API key"):
        mailer.send(a_message(text="SG.abc123.def456"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": ""}, "subject"),
        ({"content": [{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]}, "content"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content"),
        ({"custom_args": {"id": 7}}, "custom_args"),
        ({"categories": ["a", "a"]}, "categories"),
        ({"from": {"name": "nobody"}}, "from"),
        ({"personalizations": [{"to": [{"name": "not-an-email"}]}]}, "personalizations.0.to.0.email"),
        ({"personalizations": []}, "personalizations"),
        ({"headers": {"Subject": "again"}}, "headers"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_the_fake_is_as_strict_as_sendgrid(
    mailer: SendGridMailer, sendgrid: FakeSendGrid, change: dict[str, Any], field: str
) -> None:
    mailer.send(a_message())
    [body] = sendgrid.accepted
    answer = httpx.post(
        f"{sendgrid.url}/v3/mail/send", json=body | change, headers={"Authorization": f"Bearer {API_KEY}"}
    )
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert len(sendgrid.accepted) == 1


def test_the_fake_runs_as_a_process_that_logs_what_it_accepted(tmp_path: Path) -> None:
    log = tmp_path / "accepted.jsonl"
    command = [sys.executable, "-m", "tests.integrations.fake_sendgrid", "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
            messages = [a_message(), a_message()]
            for message in messages:
                SendGridMailer(API_KEY, url).send(message)
        finally:
            process.terminate()
    logged = [json.loads(line)["custom_args"]["cauce_message_id"] for line in log.read_text().splitlines()]
    assert logged == [message.id for message in messages]
