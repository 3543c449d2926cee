"""Providers that are asked to erase somebody: who does it, who refuses, and who is to be asked again."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from domain.erasure import Asked, ErasureRefused
from domain.messages import NotAccepted
from integrations.outbox.eraser import OutboxEraser
from integrations.outbox.mailer import OutboxMailer
from integrations.outbox.reader import Outbox
from integrations.sendgrid.eraser import SendGridEraser
from tests.integrations.fake_sendgrid import API_KEY, failure
from tests.integrations.fake_sendgrid_erasure import FakeSendGridErasure
from tests.integrations.mailer_contract import a_message
from tests.integrations.scripted_server import Answer

ADA = "ada@example.com"
SECOND = timedelta(seconds=1)


@pytest.fixture
def sendgrid() -> Iterator[FakeSendGridErasure]:
    with FakeSendGridErasure() as fake:
        yield fake


@pytest.fixture
def eraser(sendgrid: FakeSendGridErasure) -> Iterator[SendGridEraser]:
    eraser = SendGridEraser(API_KEY, sendgrid.url, read_timeout=SECOND / 5)
    yield eraser
    eraser.close()


def test_sendgrid_takes_the_address_and_names_its_job(sendgrid: FakeSendGridErasure, eraser: SendGridEraser) -> None:
    reply = eraser.erase(ADA, {"0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"})
    assert sendgrid.erased == [ADA]
    assert reply.outcome is Asked.ACCEPTED
    assert re.fullmatch(r"SendGrid's job [0-9a-f-]{36}", reply.detail)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"job_id": "ada@example.com"}', b"[" * 10_000])
def test_an_answer_without_a_job_is_taken_all_the_same(
    sendgrid: FakeSendGridErasure, eraser: SendGridEraser, body: bytes
) -> None:
    sendgrid.script(Answer(body=body))
    assert eraser.erase(ADA, set()).detail == "SendGrid's job without an id"


@pytest.mark.parametrize(
    ("answer", "told", "after"),
    [
        (failure(401, ("no", "")), "check SENDGRID_API_KEY", 300 * SECOND),
        (failure(429), "too many erasures", 60 * SECOND),
        (failure(500, ("oh", "")), "answered 500", None),
        (failure(504), "answered 504", None),
        (Answer(lost="cut"), "no answer", None),
        (Answer(lost="held"), "no answer: ReadTimeout", None),
    ],
)
def test_sendgrid_is_asked_again_after_what_passes(
    sendgrid: FakeSendGridErasure, eraser: SendGridEraser, answer: Answer, told: str, after: timedelta | None
) -> None:
    sendgrid.script(answer)
    with pytest.raises(NotAccepted, match=told) as away:
        eraser.erase(ADA, set())
    assert away.value.retry_after == after
    assert "ada" not in away.value.reason
    assert eraser.erase(ADA, set()).outcome is Asked.ACCEPTED


def test_nobody_at_the_address_is_asked_again(sendgrid: FakeSendGridErasure) -> None:
    eraser = SendGridEraser(API_KEY, sendgrid.url)
    sendgrid.stop()
    with pytest.raises(NotAccepted, match="no answer"):
        eraser.erase(ADA, set())
    eraser.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (failure(403, ("Not authorized", "")), "recipients.erasejob.create"),
        (failure(404, ("Not Found", "")), "SendGrid's support"),
        (failure(400, (f"Email_address {ADA} is not valid", "email_addresses")), "answered 400"),
        (Answer(status=200), "answered 200 and not 202"),
        (Answer(status=302, headers={"Location": "/elsewhere"}), "answered 302"),
    ],
)
def test_a_refusal_is_for_people_to_mend(
    sendgrid: FakeSendGridErasure, eraser: SendGridEraser, answer: Answer, told: str
) -> None:
    sendgrid.script(answer)
    with pytest.raises(ErasureRefused, match=told) as refusal:
        eraser.erase(ADA, set())
    assert ADA not in refusal.value.reason


def test_the_outbox_loses_these_messages_and_no_others(tmp_path: Path) -> None:
    mailer, messages = OutboxMailer(tmp_path), [a_message(), a_message(), a_message()]
    for message in messages:
        mailer.send(message)
    first, second, other = (message.id for message in messages)
    for _ in range(2):
        reply = OutboxEraser(tmp_path).erase(ADA, [first, second, "../outside"])
        assert reply.outcome is Asked.ERASED
    assert [summary.message_id for summary in Outbox(tmp_path).page(10)] == [other]


def test_the_outbox_loses_drafts_that_nobody_writes_any_more(tmp_path: Path) -> None:
    abandoned, present = tmp_path / ".abc.tmp", tmp_path / ".def.tmp"
    for draft in (abandoned, present):
        draft.write_text(ADA)
    os.utime(abandoned, (time.time() - 7200,) * 2)
    OutboxEraser(tmp_path).erase(ADA, [])
    assert list(tmp_path.iterdir()) == [present]


def test_an_outbox_that_cannot_be_written_is_asked_again(tmp_path: Path) -> None:
    message = a_message()
    (tmp_path / f"{message.id}.eml").mkdir()
    with pytest.raises(NotAccepted, match=r"outbox: .*: check the folder") as away:
        OutboxEraser(tmp_path).erase(ADA, [message.id])
    assert ADA not in away.value.reason


def test_no_outbox_at_all_is_nothing_to_erase(tmp_path: Path) -> None:
    assert OutboxEraser(tmp_path / "none").erase(ADA, []).outcome is Asked.ERASED
