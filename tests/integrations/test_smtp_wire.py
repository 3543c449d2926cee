"""How an email is written for servers: any of them takes it, and any mail program reads it."""

from __future__ import annotations

import base64
import quopri
import re
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from email.utils import parseaddr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.messages import EmailMessage, MessageRejected, one_line
from integrations.mime import mime_bytes
from integrations.smtp.wire import WIRE
from tests.integrations.mailer_contract import MARISOL, a_message

HEADERS = [
    *("Content-Type", "Date", "From", "List-Unsubscribe", "List-Unsubscribe-Post", "MIME-Version", "Message-ID"),
    *("Subject", "To", "X-Cauce-Flow", "X-Cauce-Message-Id", "X-Cauce-Step"),
]
_ENCODED_WORD = re.compile(r"=\?utf-8\?([bq])\?([!->@-~]*)\?=")


def written(message: EmailMessage) -> bytes:
    return mime_bytes(message, WIRE, id_header="X-Cauce-Message-Id")


def headers(email: bytes) -> list[tuple[str, str]]:
    """Names and texts, unfolded, not decoded."""
    head = email.partition(b"\r\n\r\n")[0].decode("ascii")
    lines = re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")
    return [(name, text.strip()) for name, _, text in (line.partition(":") for line in lines)]


def decoded(text: str) -> str:
    """As RFC 2047 says, section 6.2: white space between two encoded words is not part of the text."""
    bare = re.sub(r"(?<=\?=)[ \t]+(?==\?)", "", text)
    return _ENCODED_WORD.sub(lambda word: _word(word[1], word[2]), bare)


def _word(encoding: str, text: str) -> str:
    if encoding == "b":
        return base64.b64decode(text).decode()
    return quopri.decodestring(text.replace("_", " ")).decode()


def test_it_is_a_whole_email_in_short_lines_of_ascii() -> None:
    message = a_message()
    before = datetime.now(UTC) - timedelta(seconds=1)
    email = written(message)
    mail = BytesParser(policy=policy.default).parsebytes(email)
    assert sorted(mail.keys()) == HEADERS
    assert mail.get_content_type() == "multipart/alternative"
    assert mail["Message-ID"] == f"<{message.id}@example.com>"
    assert mail["X-Cauce-Message-Id"] == message.id
    assert before <= mail["Date"].datetime <= datetime.now(UTC)
    assert mail.defects == []
    lines = email.split(b"\r\n")
    assert f"List-Unsubscribe: <{message.unsubscribe_url}>".encode("ascii") in lines
    assert max(len(line) for line in lines if not line.startswith(b"List-")) <= 76


@pytest.mark.parametrize(
    "name",
    [
        "José María Fernández de la Peña y Ñandú González de Ibáñez",
        'Ada King-Noel, "Countess" of Lovelace, daughter of Byron, of whom the engine was told',
        "Ada",
        "",
    ],
)
def test_a_name_is_read_as_it_was_written(name: str) -> None:
    told = dict(headers(written(a_message(to_name=name, sender=MARISOL.model_copy(update={"name": name})))))
    for header, address in (("To", "ada@example.org"), ("From", "hola@example.com")):
        phrase, spec = parseaddr(told[header])
        assert (decoded(phrase), spec) == (name, address)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.text('ab ñ“",.<=?_\r\n', max_size=200)


@given(subject=WORDS, name=WORDS)
@example(subject="000000 \xa0\xa0\xa0\xa0\xa0\xa0\xa0\xa0\xa0𐀀𐀀𐀀𐀀 ¡", name="")  # no-break spaces
@example(subject="=?utf-8?q?a=0D=0ABcc:_eve@example.net?=", name="=?utf-8?q?a=0D=0ABcc:_eve@example.net?=")
def test_no_word_begins_a_header_or_is_lost(subject: str, name: str) -> None:
    email = written(a_message(subject=subject, to_name=name))
    told = headers(email)
    assert sorted(header for header, _ in told) == HEADERS
    assert _squeezed(decoded(parseaddr(dict(told)["To"])[0])) == _squeezed(_safe(name))
    assert _squeezed(decoded(dict(told)["Subject"])) == _squeezed(_safe(subject))
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", email)


def _safe(text: str) -> str:
    return one_line(text).replace("=?", "= ?")


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def test_a_text_that_is_not_unicode_is_rejected() -> None:
    for field in ("text", "html", "subject", "to_name"):
        with pytest.raises(MessageRejected, match="cannot be written as email"):
            written(a_message(**{field: "half a pair: \ud83d"}))
