"""The outbox keeps what it is handed, once, and shows it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.headerregistry import Address
from email.parser import BytesParser
from pathlib import Path

import pytest

from domain.messages import Mailer, MessageRejected, ProviderUnavailable
from integrations.outbox.mailer import OutboxMailer
from integrations.outbox.reader import Outbox
from tests.integrations.mailer_contract import Arrived, MailerContract, a_message

UUID = "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"


@dataclass
class OutboxProvider:
    mailer: Mailer
    folder: Path

    def arrived(self) -> list[Arrived]:
        return [_arrived(path) for path in self.folder.glob("*.eml")]


def _arrived(path: Path) -> Arrived:
    mail = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    [sender], [recipient] = (mail[name].addresses for name in ("From", "To"))
    text, html = mail.iter_parts()
    assert isinstance(sender, Address)
    assert isinstance(recipient, Address)
    assert [part.get_content_type() for part in (text, html)] == ["text/plain", "text/html"]
    return Arrived(
        message_id=mail["X-Cauce-Message"],
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


class TestOutboxMailer(MailerContract):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> OutboxProvider:
        folder = tmp_path / "not" / "yet"
        return OutboxProvider(OutboxMailer(folder), folder)


def test_a_file_is_an_email_that_any_mail_program_opens(tmp_path: Path) -> None:
    message = a_message()
    before = datetime.now(UTC) - timedelta(seconds=1)
    OutboxMailer(tmp_path).send(message)
    raw = (tmp_path / f"{message.id}.eml").read_bytes()
    mail = BytesParser(policy=policy.default).parsebytes(raw)
    assert mail.get_content_type() == "multipart/alternative"
    assert mail["Message-ID"] == f"<{message.id}@example.com>"
    assert before <= mail["Date"].datetime <= datetime.now(UTC)
    assert f"List-Unsubscribe: <{message.unsubscribe_url}>\r\n".encode() in raw
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert mail.defects == []


def test_a_second_hand_over_keeps_the_first_file(tmp_path: Path) -> None:
    mailer, message = OutboxMailer(tmp_path), a_message()
    first = mailer.send(message)
    kept = (tmp_path / f"{message.id}.eml").read_bytes()
    assert mailer.send(message.model_copy(update={"subject": "another"})) == first
    assert (tmp_path / f"{message.id}.eml").read_bytes() == kept


def test_nothing_but_the_message_stays_in_the_folder_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    message = a_message()
    OutboxMailer(tmp_path / "outbox").send(message)
    [path] = (tmp_path / "outbox").iterdir()
    assert path.name == f"{message.id}.eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_is_an_unavailable_provider(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ProviderUnavailable, match="check the folder"):
        OutboxMailer(tmp_path / "file").send(a_message())


@pytest.mark.parametrize("message_id", ["", "1", "../../etc/passwd", f"../{UUID}", f"{UUID}\n", UUID.upper()])
def test_an_id_that_is_not_a_uuid_names_no_file(tmp_path: Path, message_id: str) -> None:
    with pytest.raises(MessageRejected):
        OutboxMailer(tmp_path / "outbox").send(a_message(id=message_id))
    assert list(tmp_path.iterdir()) == []
    assert Outbox(tmp_path).raw(message_id) is None
    assert Outbox(tmp_path).read(message_id) is None


def test_a_text_that_is_not_unicode_is_rejected(tmp_path: Path) -> None:
    for field in ("text", "html", "subject"):
        with pytest.raises(MessageRejected):
            OutboxMailer(tmp_path).send(a_message(**{field: "half a pair: \ud83d"}))
    assert Outbox(tmp_path).page(10) == []


def test_pages_show_the_newest_first_and_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    mailer, messages = OutboxMailer(tmp_path), [a_message(subject=f"Número {number}") for number in range(5)]
    for message in messages:
        mailer.send(message)
    outbox = Outbox(tmp_path)
    first = outbox.page(2)
    second = outbox.page(2, before=first[-1].message_id)
    third = outbox.page(2, before=second[-1].message_id)
    assert [[summary.subject for summary in page] for page in (first, second, third)] == [
        ["Número 4", "Número 3"],
        ["Número 2", "Número 1"],
        ["Número 0"],
    ]
    assert outbox.page(2, before=third[-1].message_id) == []


def test_a_summary_tells_who_what_and_why(tmp_path: Path) -> None:
    message = a_message()
    OutboxMailer(tmp_path).send(message)
    [summary] = Outbox(tmp_path).page(10)
    assert summary.message_id == message.id
    assert summary.sender == "Marisol Ibáñez – “Cauce” <hola@example.com>"
    assert summary.to == '"Ada Núñez, “la Condesa”" <ada@example.org>'
    assert summary.subject == message.subject
    assert (summary.flow, summary.step) == ("nurturing", "case-study")
    assert datetime.now(UTC) - summary.date < timedelta(minutes=1)


def test_a_message_is_read_with_its_headers_and_both_parts(tmp_path: Path) -> None:
    message = a_message()
    OutboxMailer(tmp_path).send(message)
    outbox = Outbox(tmp_path)
    read = outbox.read(message.id)
    assert read is not None
    assert (read.text, read.html) == (message.text, message.html)
    assert dict(read.headers)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert outbox.raw(message.id) == (tmp_path / f"{message.id}.eml").read_bytes()


def test_an_outbox_that_got_nothing_yet_is_empty(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "not-made")
    assert outbox.page(10) == []
    assert outbox.raw(UUID) is None
    assert outbox.read(UUID) is None


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\0\xff\xfe" * 100,
        b"Subject: not ours\r\n\r\nhello",
        f"X-Cauce-Message: {UUID}\r\n".encode(),
        f"X-Cauce-Message: {UUID}\r\nFrom: @\r\nTo: ,;<\r\nSubject: =?\r\nDate: never\r\n\r\n".encode(),
        f"X-Cauce-Message: {UUID}\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x".encode(),
    ],
)
def test_half_written_and_foreign_files_never_break_the_list(tmp_path: Path, junk: bytes) -> None:
    message = a_message()
    OutboxMailer(tmp_path).send(message)
    (tmp_path / f"{UUID}.eml").write_bytes(junk)
    (tmp_path / "notes.eml").write_bytes(junk)
    (tmp_path / ".draft.tmp").write_bytes(junk)
    (tmp_path / f"{UUID[:-1]}f.eml").mkdir()
    os.symlink(tmp_path / "nowhere", tmp_path / f"{UUID[:-1]}a.eml")
    outbox = Outbox(tmp_path)
    assert [summary.message_id for summary in outbox.page(1)] == [message.id]
    assert [summary.message_id for summary in outbox.page(10)] == [message.id]
    assert outbox.read(UUID) is None


def test_a_cut_off_file_of_ours_breaks_nothing_wherever_it_was_cut(tmp_path: Path) -> None:
    message = a_message(html="<p>ñ</p>\n")
    OutboxMailer(tmp_path).send(message)
    path = tmp_path / f"{message.id}.eml"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        Outbox(tmp_path).page(10)
        Outbox(tmp_path).read(message.id)
