"""How the SMTP mailer comes to a connection: what it makes of TLS and log-ins, and how it keeps what it has."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.messages import MailerError, NotAccepted, ProviderUnavailable, RateLimited
from integrations.smtp.answers import SETTINGS_PATIENCE
from integrations.smtp.mailer import SmtpMailer
from tests.integrations.certificates import Certificate, self_signed
from tests.integrations.fake_smtp import FakeSmtp, Play, Stage
from tests.integrations.mailer_contract import a_message
from tests.integrations.smtp_calls import A_SECOND, AT_MOST_SECONDS, LOGIN, mailer_of, refusal

SOON = timedelta(milliseconds=300)


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    with FakeSmtp() as fake:
        yield fake


@pytest.fixture
def mailer(smtp: FakeSmtp) -> Iterator[SmtpMailer]:
    patient = mailer_of(smtp)
    yield patient
    patient.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    return certificate


def test_a_server_that_nobody_runs_is_surely_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = refusal(SmtpMailer("127.0.0.1", port, "none"))
    assert (type(error), error.reason) == (
        ProviderUnavailable,
        "the SMTP server was not reached: ConnectionRefusedError",
    )


def test_a_host_name_that_no_dns_can_have_is_surely_not_sent() -> None:
    error = refusal(SmtpMailer("a" * 64 + ".test", 25, "none"))
    assert type(error) is ProviderUnavailable
    assert "check CAUCE_SMTP_HOST" in error.reason


@pytest.mark.parametrize(
    ("stage", "answer", "kind", "reason"),
    [
        ("greeting", "554 5.7.1 hush", ProviderUnavailable, "answered 554 5.7.1 to the connection: check CAUCE_SMTP_H"),
        ("greeting", "421 hush", ProviderUnavailable, "answered 421 to the connection"),
        ("greeting", "421 4.7.0 hush", RateLimited, "answered 421 4.7.0 to the connection"),
        ("greeting", "421 4.3.2 hush", RateLimited, "answered 421 4.3.2 to the connection"),
        ("greeting", "HTTP/1.1 400 hush", ProviderUnavailable, "answered something else than SMTP to the connection"),
        ("greeting", "220 " + "hush" * 2500, ProviderUnavailable, "answered 500 to the connection"),
        ("EHLO", "550 hush", ProviderUnavailable, "answered 502 5.5.1 to EHLO: check CAUCE_SMTP_HOST"),
        ("STARTTLS", "454 4.7.0 hush", ProviderUnavailable, "answered 454 4.7.0 to STARTTLS"),
        ("STARTTLS", "501 hush", ProviderUnavailable, "answered 501 to STARTTLS: check CAUCE_SMTP_SECURITY"),
        ("AUTH", "454 4.7.0 hush", ProviderUnavailable, "answered 454 4.7.0 to AUTH"),
        ("AUTH", "334 hush!", ProviderUnavailable, "check CAUCE_SMTP_USER and CAUCE_SMTP_PASSWORD"),
    ],
)
def test_a_server_that_does_not_let_us_in_was_surely_not_given_the_message(
    trusted: Certificate, stage: Stage, answer: str, kind: type[MailerError], reason: str
) -> None:
    with FakeSmtp(tls=trusted.server_context(), login=LOGIN) as smtp:
        smtp.script(stage, *[Play(answer)] * 2)
        error = refusal(mailer_of(smtp, security="starttls", login=LOGIN))
    assert type(error) is kind
    assert reason in error.reason
    assert isinstance(error, NotAccepted)
    assert error.retry_after == (SETTINGS_PATIENCE if ": check" in error.reason and " 5" in error.reason else None)


@pytest.mark.parametrize("lost", ["cut", "held"])
@pytest.mark.parametrize("stage", ["greeting", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_message_is_surely_not_sent(trusted: Certificate, stage: Stage, lost: Any) -> None:
    with FakeSmtp(tls=trusted.server_context(), login=LOGIN) as smtp:
        smtp.script(stage, Play(lost=lost))
        times = {"connect_timeout": SOON, "handover_timeout": SOON}
        mailer = mailer_of(smtp, security="starttls", login=LOGIN, **(times if lost == "held" else {}))
        error = refusal(mailer)
        assert type(error) is ProviderUnavailable
        assert error.retry_after is None
        if lost == "held":
            assert "TimeoutError" in error.reason
        assert smtp.taken == []


def test_a_connection_lost_while_tls_is_agreed_on_is_no_matter_of_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:

        def hang_up() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)

        hanging_up = thread.submit(hang_up)
        error = refusal(SmtpMailer("127.0.0.1", server.getsockname()[1], "tls"))
        hanging_up.result()
    assert type(error) is ProviderUnavailable
    assert error.retry_after is None


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_message_goes_through_tls_and_a_login(trusted: Certificate, security: str) -> None:
    with FakeSmtp(tls=trusted.server_context(), implicit=security == "tls", login=LOGIN) as smtp:
        mailer = mailer_of(smtp, security=security, login=LOGIN)
        mailer.send(a_message())
        smtp.hang_up()
        mailer.send(a_message())
        mailer.close()
        assert len(smtp.taken) == 2
        assert smtp.commands.count("AUTH") == smtp.connections == 2


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({}, "self-signed certificate"),
        ({"address": "127.0.0.2"}, "IP address mismatch"),
        ({"days": -1}, "certificate has expired"),
    ],
)
def test_a_server_whose_certificate_is_not_to_be_trusted_gets_neither_login_nor_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str, server: dict[str, Any], told: str
) -> None:
    certificate = self_signed(tmp_path / "server.pem", **server)
    if server:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    with FakeSmtp(tls=certificate.server_context(), implicit=security == "tls", login=LOGIN) as smtp:
        error = refusal(mailer_of(smtp, security=security, login=LOGIN))
        assert isinstance(error, ProviderUnavailable)
        assert error.retry_after == SETTINGS_PATIENCE
        assert told in error.reason
        assert {"AUTH", "MAIL"}.isdisjoint(smtp.commands)


@pytest.mark.parametrize(
    ("security", "login", "told"),
    [
        ("starttls", None, "does not offer STARTTLS"),
        ("tls", None, "no TLS with the SMTP server: WRONG_VERSION_NUMBER: check CAUCE_SMTP_SECURITY"),
        ("none", LOGIN, "does not offer AUTH"),
    ],
)
def test_what_the_server_lacks_and_we_ask_for_waits_for_the_settings(
    smtp: FakeSmtp, security: str, login: tuple[str, str] | None, told: str
) -> None:
    error = refusal(mailer_of(smtp, security=security, login=login))
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after == SETTINGS_PATIENCE
    assert told in error.reason
    assert "MAIL" not in smtp.commands


@pytest.mark.parametrize("login", [None, ("cauce", "another"), ("another", LOGIN[1])])
def test_a_login_that_is_wrong_or_missing_mends_when_the_settings_are_mended(login: tuple[str, str] | None) -> None:
    with FakeSmtp(login=LOGIN) as smtp:
        error = refusal(mailer_of(smtp, login=login))
        assert isinstance(error, ProviderUnavailable)
        assert error.retry_after == SETTINGS_PATIENCE
        assert "CAUCE_SMTP_USER" in error.reason
        mailer_of(smtp, login=LOGIN).send(a_message())
        assert len(smtp.taken) == 1


def test_one_connection_serves_message_after_message(mailer: SmtpMailer, smtp: FakeSmtp) -> None:
    smtp.script("MAIL", Play("452 no"))
    smtp.script("RCPT", Play("550 5.1.1 no"), Play("450 no"))
    smtp.script("DATA", Play("451 no"))
    smtp.script("end", Play("554 no"), Play("452 no"))
    for _ in range(6):
        refusal(mailer)
    for _ in range(20):
        mailer.send(a_message())
    assert (len(smtp.taken), smtp.connections) == (20, 1)


def test_threads_share_as_many_connections_as_there_are_threads(mailer: SmtpMailer, smtp: FakeSmtp) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(mailer.send, [a_message() for _ in range(60)]))
    assert len(smtp.taken) == 60
    assert smtp.connections <= 4


def test_a_connection_that_was_idle_for_long_is_dropped_politely(smtp: FakeSmtp) -> None:
    mailer = mailer_of(smtp, keep_for=timedelta(0))
    for _ in range(3):
        mailer.send(a_message())
    mailer.close()
    smtp.wait_for_end()
    assert smtp.connections == smtp.commands.count("QUIT") == 3


def test_connections_that_the_server_closed_meanwhile_cost_no_message(smtp: FakeSmtp) -> None:
    mailer = mailer_of(smtp, connect_timeout=A_SECOND)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(mailer.send, [a_message() for _ in range(20)]))
        smtp.hang_up()
        list(threads.map(mailer.send, [a_message() for _ in range(20)]))
    smtp.script("RSET", Play("421 4.4.2 Idle for too long", lost="cut"), Play(lost="held"))
    began = time.monotonic()
    mailer.send(a_message())
    assert time.monotonic() - began < AT_MOST_SECONDS
    mailer.close()
    assert len(smtp.taken) == 41
