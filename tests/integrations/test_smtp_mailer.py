"""The SMTP mailer against a real server on the loopback that answers, refuses, cuts and hangs at each stage."""

from __future__ import annotations

import logging
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.parser import BytesParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.messages import (
    DeliveryAmbiguous,
    Mailer,
    MailerError,
    MessageRejected,
    NotAccepted,
    ProviderUnavailable,
    RateLimited,
)
from integrations.smtp.answers import SETTINGS_PATIENCE, Stage, refused
from integrations.smtp.mailer import SmtpMailer
from tests.integrations.fake_smtp import MAX_BYTES, FakeSmtp, Play, Taken
from tests.integrations.fake_smtp import Stage as Scripted
from tests.integrations.mailer_contract import MARISOL, Arrived, MailerContract, a_message
from tests.integrations.smtp_calls import A_SECOND, AT_MOST_SECONDS, LOGIN, mailer_of, refusal


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    with FakeSmtp() as fake:
        yield fake


@pytest.fixture
def mailer(smtp: FakeSmtp) -> Iterator[SmtpMailer]:
    patient = mailer_of(smtp)
    yield patient
    patient.close()


@dataclass
class SmtpProvider:
    mailer: Mailer
    smtp: FakeSmtp

    def arrived(self) -> list[Arrived]:
        return [_arrived(taken) for taken in self.smtp.taken]


def _arrived(taken: Taken) -> Arrived:
    mail = BytesParser(policy=policy.default).parsebytes(taken.content)
    [sender], [recipient] = (mail[name].addresses for name in ("From", "To"))
    text, html = mail.iter_parts()
    assert isinstance(sender, Address)
    assert isinstance(recipient, Address)
    assert [part.get_content_type() for part in (text, html)] == ["text/plain", "text/html"]
    assert (taken.sender, taken.recipient) == (sender.addr_spec, recipient.addr_spec)
    return Arrived(
        message_id=mail["X-Cauce-Message-Id"],
        from_name=sender.display_name,
        from_email=sender.addr_spec,
        to_name=recipient.display_name,
        to_email=recipient.addr_spec,
        subject=mail["Subject"],
        text=text.get_content().replace("\r\n", "\n"),
        html=html.get_content().replace("\r\n", "\n"),
        flow=mail["X-Cauce-Flow"],
        step=mail["X-Cauce-Step"],
        headers={name.lower(): value for name, value in mail.items()},
    )


class TestSmtpMailer(MailerContract):
    @pytest.fixture
    def provider(self, mailer: SmtpMailer, smtp: FakeSmtp) -> SmtpProvider:
        return SmtpProvider(mailer, smtp)


@pytest.fixture(scope="module")
def lasting() -> Iterator[SmtpProvider]:
    with FakeSmtp() as smtp:
        mailer = mailer_of(smtp)
        yield SmtpProvider(mailer, smtp)
        mailer.close()


# What arrives


WRITTEN = st.text(st.sampled_from("abñ.=- <\r\n\u2028"), max_size=300)


@given(text=WRITTEN, html=WRITTEN)
def test_texts_arrive_line_by_line_whatever_dots_and_line_ends_they_have(
    lasting: SmtpProvider, text: str, html: str
) -> None:
    before = len(lasting.smtp.taken)
    lasting.mailer.send(a_message(text=text, html=html))
    [taken] = lasting.smtp.taken[before:]
    arrived = _arrived(taken)
    assert (arrived.text, arrived.html) == (_in_lines(text), _in_lines(html))


def _in_lines(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else f"{text}\n"


@pytest.mark.parametrize(
    ("domain", "in_the_dns"), [("ñandú.example.org", "xn--and-6ma2c.example.org"), ("faß.de", "xn--fa-hia.de")]
)
def test_a_domain_in_other_letters_is_written_as_the_dns_has_it(
    mailer: SmtpMailer, smtp: FakeSmtp, domain: str, in_the_dns: str
) -> None:
    mailer.send(a_message(to_email=f"ada@{domain}", sender=MARISOL.model_copy(update={"email": f"hola@{domain}"})))
    [taken] = smtp.taken
    assert (taken.sender, taken.recipient) == (f"hola@{in_the_dns}", f"ada@{in_the_dns}")
    assert _arrived(taken).to_email == f"ada@{in_the_dns}"


def test_a_sender_that_is_no_address_costs_no_message(mailer: SmtpMailer) -> None:
    error = refusal(mailer, a_message(sender=MARISOL.model_copy(update={"email": "nobody"})))
    assert (type(error), error.reason) == (
        ProviderUnavailable,
        "SMTP: the sender's address is not one: check CAUCE_SENDER_EMAIL",
    )


# The message


@pytest.mark.parametrize(
    ("stage", "answer", "kind", "waits"),
    [
        ("MAIL", "550 5.7.1 hush", ProviderUnavailable, True),
        ("MAIL", "501 hush", ProviderUnavailable, True),
        ("MAIL", "552 5.3.4 hush", MessageRejected, False),
        ("MAIL", "451 4.3.0 hush", ProviderUnavailable, False),
        ("MAIL", "421 4.4.2 hush", ProviderUnavailable, False),
        ("MAIL", "421 4.4.5 hush", RateLimited, False),
        ("MAIL", "452 hush", RateLimited, False),
        ("MAIL", "454 Throttling failure: hush", RateLimited, False),
        ("MAIL", "354 hush", ProviderUnavailable, False),
        ("RCPT", "550 5.1.1 <ada@example.org> hush", MessageRejected, False),
        ("RCPT", "550 hush", MessageRejected, False),
        ("RCPT", "501 hush", MessageRejected, False),
        ("RCPT", "553 5.7.1 hush", ProviderUnavailable, True),
        ("RCPT", "550 5.1.8 hush", ProviderUnavailable, True),
        ("RCPT", "530 hush", ProviderUnavailable, True),
        ("RCPT", "503 hush", ProviderUnavailable, True),
        ("RCPT", "450 4.2.0 <ada@example.org> hush", RateLimited, False),
        ("RCPT", "452 4.5.3 hush", RateLimited, False),
        ("RCPT", "451 4.3.5 hush", ProviderUnavailable, False),
        ("RCPT", "454 4.7.1 hush", ProviderUnavailable, False),
        ("RCPT", "455 hush", ProviderUnavailable, False),
        ("DATA", "554 5.5.1 hush", MessageRejected, False),
        ("DATA", "502 hush", ProviderUnavailable, True),
        ("DATA", "451 hush", RateLimited, False),
        ("DATA", "250 hush", ProviderUnavailable, False),
        ("end", "554 5.7.1 hush", MessageRejected, False),
        ("end", "550 hush", MessageRejected, False),
        ("end", "451 4.7.1 hush", RateLimited, False),
        ("end", "421 hush", RateLimited, False),
        ("end", "451 4.3.0 hush", ProviderUnavailable, False),
        ("end", "454 Throttling failure: hush", RateLimited, False),
    ],
)
def test_a_refused_message_is_with_nobody(
    mailer: SmtpMailer, smtp: FakeSmtp, stage: Scripted, answer: str, kind: type[MailerError], waits: bool
) -> None:
    smtp.script(stage, Play(answer))
    error = refusal(mailer)
    assert type(error) is kind
    if isinstance(error, NotAccepted):
        assert error.retry_after == (SETTINGS_PATIENCE if waits else None)
    code, detail = answer.split()[0], answer.split()[1]
    assert f"answered {code}{f' {detail}' if detail[0].isdigit() else ''} to " in error.reason
    assert smtp.taken == []
    mailer.send(a_message())
    assert len(smtp.taken) == 1


@pytest.mark.parametrize("lost", ["cut", "held"])
def test_a_connection_lost_while_the_message_is_written_is_surely_not_sent(lost: Any) -> None:
    # More than the system keeps for a connection, so that a part of it is still to be written.
    huge = a_message(text=("x" * 70 + "\n") * 90_000)
    with FakeSmtp(extensions=()) as smtp:
        smtp.script("content", Play(lost=lost))
        error = refusal(mailer_of(smtp, **({"handover_timeout": A_SECOND} if lost == "held" else {})), huge)
        assert type(error) is ProviderUnavailable
        assert "was lost at DATA" in error.reason
        assert smtp.taken == []


@pytest.mark.parametrize(
    ("play", "told"),
    [
        (Play(lost="cut"), "SMTPServerDisconnected"),
        (Play(lost="held"), "TimeoutError"),
        (Play("250-2.0.0 Ok", lost="cut"), "SMTPServerDisconnected"),
        (Play("25", lost="cut"), "neither yes nor no"),
        (Play("250 " + "hush" * 2500), "SMTPResponseException"),
        (Play("354 hush"), "answered 354 to the message: neither yes nor no"),
        (Play("hush"), "answered something else than SMTP to the message: neither yes nor no"),
        (Play("600 hush"), "neither yes nor no"),
    ],
)
def test_without_a_clear_answer_to_the_whole_message_nobody_knows_and_nobody_repeats_it(
    smtp: FakeSmtp, play: Play, told: str
) -> None:
    mailer = mailer_of(smtp, **({"answer_timeout": A_SECOND} if play.lost == "held" else {}))
    mailer.send(a_message())
    smtp.script("end", play)
    began = time.monotonic()
    error = refusal(mailer)
    assert time.monotonic() - began < AT_MOST_SECONDS
    assert type(error) is DeliveryAmbiguous
    assert told in error.reason
    assert smtp.commands.count("DATA") == 2
    mailer.send(a_message())
    assert smtp.connections == 2


def test_a_message_larger_than_the_server_takes_is_rejected_before_it_is_written(
    mailer: SmtpMailer, smtp: FakeSmtp
) -> None:
    error = refusal(mailer, a_message(text=("x" * 70 + "\n") * (MAX_BYTES // 71)))
    assert type(error) is MessageRejected
    assert "552 5.3.4 to MAIL" in error.reason
    assert "RCPT" not in smtp.commands


def test_a_server_without_extensions_gets_the_message_too() -> None:
    with FakeSmtp(extensions=()) as smtp:
        mailer_of(smtp).send(a_message())
        assert len(smtp.taken) == 1


ANSWERS = st.from_regex(rb"([245]\.\d{1,4}\.\d{1,4}.?)?hush", fullmatch=True)


@given(stage=st.sampled_from(Stage), code=st.integers(-1, 999), text=ANSWERS)
def test_every_answer_means_one_thing_and_its_words_are_kept_out(stage: Stage, code: int, text: bytes) -> None:
    error = refused(stage, code, text)
    assert "hush" not in error.reason
    if code // 100 == 4:
        assert isinstance(error, NotAccepted)
    elif code // 100 == 5:
        assert isinstance(error, MessageRejected | ProviderUnavailable)
    else:
        assert type(error) is (DeliveryAmbiguous if stage is Stage.END else ProviderUnavailable)


@pytest.mark.parametrize("text", [b"hush 5.7.1", b"5.7.1hush", b"5.7.1234"])
def test_what_is_no_enhanced_status_code_is_not_read_as_one(text: bytes) -> None:
    error = refused(Stage.RCPT, 550, text)
    assert (type(error), error.reason) == (MessageRejected, "the SMTP server answered 550 to RCPT")


# Settings, logs, and the fake itself


@pytest.mark.parametrize("host", ["", " ", "smtp://h", "h:587", "h/x", "a..b", "-a", ".", "h\nx", "::1::"])
def test_a_host_that_cannot_be_one_is_refused_at_once(host: str) -> None:
    with pytest.raises(ValueError, match=r"^CAUCE_SMTP_HOST: "):
        SmtpMailer(host, 587, "starttls")


@pytest.mark.parametrize("host", ["localhost", "smtp.example.com", "smtp.example.com.", "mail_1", "10.0.0.1", "::1"])
def test_a_host_may_be_a_name_or_an_address(host: str) -> None:
    SmtpMailer(host, 587, "none").close()


@pytest.mark.parametrize(
    ("login", "variable"),
    [
        (("", "hush"), "CAUCE_SMTP_USER"),
        (("cauce", ""), "CAUCE_SMTP_PASSWORD"),
        (("cauce", "hush\r\nRSET"), "CAUCE_SMTP_PASSWORD"),
        (("cauce", "hush-ñ"), "CAUCE_SMTP_PASSWORD"),
        (("hush-ñ", "hush"), "CAUCE_SMTP_USER"),
    ],
)
def test_a_login_that_cannot_be_sent_is_refused_without_quoting_it(login: tuple[str, str], variable: str) -> None:
    with pytest.raises(ValueError, match=f"^{variable}: ") as refusal:
        SmtpMailer("localhost", 587, "starttls", login)
    assert "hush" not in str(refusal.value)


def test_the_password_and_the_contact_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FakeSmtp(login=LOGIN) as smtp:
        mailer = mailer_of(smtp, login=LOGIN)
        mailer.send(a_message())
        smtp.script("RCPT", Play("550 5.1.1 <ada@example.org>"))
        smtp.script("end", Play(lost="cut"))
        for _ in range(2):
            refusal(mailer)
    for secret in (LOGIN[1], "ada@", "Condesa"):
        assert secret not in caplog.text


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", "ñ\r\n".encode(), b"a\0\r\n", b"x" * 999 + b"\r\n"])
def test_the_fake_is_as_strict_as_a_server_may_be(smtp: FakeSmtp, content: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", smtp.port, "test") as client, pytest.raises(smtplib.SMTPDataError, match="554"):
        client.sendmail("hola@example.com", "ada@example.org", content)
    assert smtp.taken == []
