"""An email as mail programs and servers read it: one message in two forms, text and HTML (RFC 5322, MIME)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage as Rfc5322Message
from email.policy import Policy
from typing import Any

from domain.messages import EmailMessage, MessageRejected, one_line


def mime_bytes(message: EmailMessage, policy: Policy[Any], *, id_header: str) -> bytes:
    """The whole email, headers first. `policy` says how it is written; `id_header` is the header with our message id.

    Raises: MessageRejected, if an address or a text cannot be written as email.
    """
    try:
        return _rfc5322(message, policy, id_header).as_bytes()
    except (ValueError, IndexError, MessageError):
        # From None: the standard library quotes the address, and causes end up in Temporal.
        raise MessageRejected("an address or a text of this message cannot be written as email") from None


def _rfc5322(message: EmailMessage, policy: Policy[Any], id_header: str) -> Rfc5322Message:
    sender = message.sender
    mail = Rfc5322Message(policy=policy)
    mail["From"] = Address(_words(sender.name), addr_spec=sender.email)
    mail["To"] = Address(_words(message.to_name), addr_spec=message.to_email)
    mail["Subject"] = _words(message.subject)
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = f"<{message.id}@{sender.email.rpartition('@')[2].encode('idna').decode()}>"
    if message.unsubscribe_url is not None:
        mail["List-Unsubscribe"] = f"<{one_line(message.unsubscribe_url)}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail[id_header] = message.id
    mail["X-Cauce-Flow"] = one_line(message.flow)
    mail["X-Cauce-Step"] = one_line(message.step)
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def _words(text: str) -> str:
    # What looks like an encoded word would be read as one, here and by mail programs, with any line break in it.
    return one_line(text).replace("=?", "= ?")
