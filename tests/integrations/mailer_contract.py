"""What every mailer owes: inherit `MailerContract`, provide `provider`, and each promise is tested."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import pytest
import uuid_utils
from pydantic import BaseModel

from domain.message_batches import BatchMailer, Letter, MessageBatch
from domain.messages import EmailMessage, Mailer, MessageRejected, Sender

MARISOL = Sender(
    name="Marisol Ibáñez – “Cauce”",
    email="hola@example.com",
    postal_address="Av. Ñuñoa 1, Santiago",
    website="https://example.com",
)


class Arrived(BaseModel):
    """One message as the provider has it. Names of `headers` are in lower case; lines of the parts end with `\\n`."""

    message_id: str
    from_name: str
    from_email: str
    to_name: str
    to_email: str
    subject: str
    text: str
    html: str
    flow: str
    step: str
    headers: dict[str, str]


class Provider(Protocol):
    """A mailer, and the far end of it."""

    mailer: Mailer

    def arrived(self) -> Sequence[Arrived]:
        """Every message that the provider took, in no particular order."""


def a_message(**changes: object) -> EmailMessage:
    message = EmailMessage(
        id=str(uuid_utils.uuid7()),
        flow="nurturing",
        step="case-study",
        sender=MARISOL,
        to_email="ada@example.org",
        to_name="Ada Núñez, “la Condesa”",
        subject="¿Mañana? Cinco “ideas” para el año – 50 % más",
        html=f"<p>Hola Ñandú &amp; compañía</p><p>{'muy ' * 400}largo</p>\n",
        text="Hola Ñandú & compañía:\n\n.\nFrom here on it is “text”.\n",
        unsubscribe_url="https://example.com/u/" + "t0ken" * 40,
    )
    return message.model_copy(update=changes)


class MailerContract:
    @pytest.fixture
    def provider(self) -> Provider:
        raise NotImplementedError

    def test_what_arrives_is_what_was_sent(self, provider: Provider) -> None:
        message = a_message()
        provider.mailer.send(message)
        [arrived] = provider.arrived()
        assert arrived.message_id == message.id
        assert (arrived.from_name, arrived.from_email) == (MARISOL.name, MARISOL.email)
        assert (arrived.to_name, arrived.to_email) == (message.to_name, message.to_email)
        assert arrived.subject == message.subject
        assert arrived.text == message.text
        assert arrived.html == message.html
        assert (arrived.flow, arrived.step) == ("nurturing", "case-study")

    def test_a_contact_without_a_name_is_written_to(self, provider: Provider) -> None:
        provider.mailer.send(a_message(to_name=""))
        [arrived] = provider.arrived()
        assert (arrived.to_name, arrived.to_email) == ("", "ada@example.org")

    def test_an_unsubscribe_link_becomes_one_click_headers(self, provider: Provider) -> None:
        message = a_message()
        provider.mailer.send(message)
        [arrived] = provider.arrived()
        assert arrived.headers["list-unsubscribe"] == f"<{message.unsubscribe_url}>"
        assert arrived.headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"

    def test_a_transactional_message_offers_no_unsubscribing(self, provider: Provider) -> None:
        provider.mailer.send(a_message(unsubscribe_url=None))
        [arrived] = provider.arrived()
        assert not [name for name in arrived.headers if name.startswith("list-unsubscribe")]

    def test_a_receipt_names_the_provider_and_its_id(self, provider: Provider) -> None:
        receipt = provider.mailer.send(a_message())
        assert receipt.provider == provider.mailer.name
        assert 1 <= len(receipt.provider_message_id) <= 100

    def test_messages_from_several_threads_arrive_once_each(self, provider: Provider) -> None:
        messages = [a_message(subject=f"Número {number}") for number in range(40)]
        with ThreadPoolExecutor(8) as threads:
            receipts = list(threads.map(provider.mailer.send, messages))
        arrived = {message.message_id: message.subject for message in provider.arrived()}
        assert len(provider.arrived()) == 40
        assert arrived == {message.id: message.subject for message in messages}
        assert len({receipt.provider_message_id for receipt in receipts}) == 40

    def test_the_same_id_twice_arrives_once_if_the_mailer_says_that_it_is_idempotent(self, provider: Provider) -> None:
        message = a_message()
        with ThreadPoolExecutor(8) as threads:
            receipts = list(threads.map(provider.mailer.send, [message] * 8))
        if provider.mailer.idempotent:
            assert len(provider.arrived()) == 1
            assert receipts == receipts[:1] * 8
        else:
            assert len(provider.arrived()) == 8

    def test_the_same_content_under_two_ids_is_two_messages(self, provider: Provider) -> None:
        provider.mailer.send(a_message())
        provider.mailer.send(a_message())
        assert len(provider.arrived()) == 2

    @pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\0\n"])
    def test_line_breaks_in_names_and_subjects_begin_no_header(self, provider: Provider, line_break: str) -> None:
        injection = f"{line_break}Bcc: eve@example.net{line_break}{line_break}body"
        provider.mailer.send(
            a_message(
                to_name=f"Ada{injection}",
                subject=f"Hola{injection}",
                sender=MARISOL.model_copy(update={"name": f"Marisol{injection}"}),
                unsubscribe_url=f"https://example.com/u{injection}",
            )
        )
        [arrived] = provider.arrived()
        assert "bcc" not in arrived.headers
        assert arrived.to_name == "Ada Bcc: eve@example.net body"
        assert arrived.from_name == "Marisol Bcc: eve@example.net body"
        assert arrived.subject == "Hola Bcc: eve@example.net body"

    def test_what_looks_like_encoded_words_begins_no_header(self, provider: Provider) -> None:
        word = "=?utf-8?q?Ada=0D=0ABcc:_eve@example.net?="
        sender = MARISOL.model_copy(update={"name": word})
        provider.mailer.send(a_message(to_name=word, subject=f"{word} {word}", sender=sender))
        [arrived] = provider.arrived()
        assert "bcc" not in arrived.headers
        for text in (arrived.to_name, arrived.from_name, arrived.subject):
            assert "eve@example.net" in text
            assert len(text.splitlines()) == 1

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "ada",
            "ada@",
            "@example.org",
            "Ada <ada@example.org>",
            "ada@example.org\nBcc: eve@example.net",
            "ada@example.org\r\n\r\nbody",
            "ada@example.org,eve@example.net",
            "ada@example.org, eve@example.net",
        ],
    )
    def test_what_is_not_one_address_is_rejected_without_quoting_it(self, provider: Provider, address: str) -> None:
        with pytest.raises(MessageRejected) as rejected:
            provider.mailer.send(a_message(to_email=address))
        assert provider.arrived() == []
        assert rejected.value.reason
        assert "example" not in rejected.value.reason
        assert rejected.value.__suppress_context__ or rejected.value.__context__ is None


class BatchProvider(Protocol):
    """A mailer of batches, and the far end of it."""

    mailer: BatchMailer

    def arrived(self) -> Sequence[Arrived]:
        """Every message that the provider took, in no particular order."""


def a_letter(number: int, **changes: Any) -> Letter:
    letter = Letter(
        id=str(uuid_utils.uuid7()),
        to_email=f"c{number}@example.org",
        to_name=f"Número {number}, “la Condesa”",
        subject=f"¿Mañana, {number}?",
        unsubscribe_url=f"https://example.com/u/{number}",
        values={"^0h": f"N&amp;{number}", "^0t": f"N&{number}"},
    )
    return letter._replace(**changes)


def a_batch(*letters: Letter) -> MessageBatch:
    return MessageBatch(
        flow="broadcast",
        step="news",
        sender=MARISOL,
        html="<p>Hola ^0h, “año”</p>",
        text="Hola ^0t, “año”\n",
        letters=letters,
    )


class BatchMailerContract:
    @pytest.fixture
    def batches(self) -> BatchProvider:
        raise NotImplementedError

    def test_each_reads_their_own_letter(self, batches: BatchProvider) -> None:
        letters = [a_letter(number) for number in range(batches.mailer.batch_size)]
        receipt = batches.mailer.send_batch(a_batch(*letters))
        arrived = {message.message_id: message for message in batches.arrived()}
        assert len(batches.arrived()) == len(arrived) == len(letters)
        assert receipt.provider == batches.mailer.name
        assert 1 <= len(receipt.provider_message_id) <= 100
        for number, letter in enumerate(letters):
            message = arrived[letter.id]
            assert (message.to_name, message.to_email) == (letter.to_name, letter.to_email)
            assert (message.from_name, message.from_email) == (MARISOL.name, MARISOL.email)
            assert message.subject == letter.subject
            assert message.html == f"<p>Hola N&amp;{number}, “año”</p>"
            assert message.text == f"Hola N&{number}, “año”\n"
            assert (message.flow, message.step) == ("broadcast", "news")
            assert message.headers["list-unsubscribe"] == f"<{letter.unsubscribe_url}>"
            assert message.headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"

    def test_transactional_letters_offer_no_unsubscribing(self, batches: BatchProvider) -> None:
        batches.mailer.send_batch(a_batch(*(a_letter(number, unsubscribe_url=None) for number in range(2))))
        headers = {name for message in batches.arrived() for name in message.headers}
        assert not [name for name in headers if name.startswith("list-unsubscribe")]

    @pytest.mark.parametrize("line_break", ["\n", "\r\n", "\x0b", "\u2028"])
    def test_line_breaks_in_letters_begin_no_header(self, batches: BatchProvider, line_break: str) -> None:
        injection = f"{line_break}Bcc: eve@example.net"
        batches.mailer.send_batch(a_batch(a_letter(1, to_name=f"Ada{injection}", subject=f"Hola{injection}")))
        (arrived,) = batches.arrived()
        assert (arrived.to_name, arrived.subject) == ("Ada Bcc: eve@example.net", "Hola Bcc: eve@example.net")
        assert "bcc" not in arrived.headers

    @pytest.mark.parametrize("address", ["", "ada", "ada@example.org,eve@example.net", "a b@example.org"])
    def test_a_letter_to_what_is_no_address_is_not_taken(self, batches: BatchProvider, address: str) -> None:
        assert batches.mailer.takes(a_letter(1))
        assert not batches.mailer.takes(a_letter(1, to_email=address))
