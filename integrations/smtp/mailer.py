"""Email through any server that takes it by SMTP.

Source: RFC 5321; RFC 6409 for submission; RFC 8314 for TLS.
"""

from __future__ import annotations

import re
import ssl
import time
from collections import deque
from datetime import timedelta
from ipaddress import ip_address
from threading import Lock

from email_validator import EmailNotValidError, validate_email

from domain.messages import EmailMessage, MessageRejected, ProviderUnavailable, Receipt
from integrations.mime import mime_bytes
from integrations.smtp.answers import SETTINGS_PATIENCE
from integrations.smtp.session import Relay, Security, Session
from integrations.smtp.wire import WIRE

_HOST_NAME = re.compile(r"\w([\w-]*\w)?(\.\w([\w-]*\w)?)*\.?")


class SmtpMailer:
    """Hands messages to an SMTP server. Safe to call from several threads: each message has a connection to itself.

    Connections are kept for the next message, and dropped once they were idle for `keep_for`. All that comes before
    the dot that ends a message has `handover_timeout`, the answer to that dot `answer_timeout`; looking up the
    host's addresses and connecting to each of them, `connect_timeout`, may come on top.

    With `starttls` and `tls` the server has to show a certificate for `host` of an authority that this machine
    trusts. `none` is for servers on this machine or in its private network.

    Each message carries its id in the headers `X-Cauce-Message-Id` and `Message-ID`; the receipt holds it too.

    Raises: ValueError, when the host, the user or the password cannot be one.
    Idempotency: none. A server delivers a message as often as it is handed over.
    """

    name = "smtp"
    idempotent = False

    def __init__(
        self,
        host: str,
        port: int,
        security: Security,
        login: tuple[str, str] | None = None,
        *,
        connect_timeout: timedelta = timedelta(seconds=10),
        handover_timeout: timedelta = timedelta(seconds=30),
        answer_timeout: timedelta = timedelta(seconds=30),
        keep_for: timedelta = timedelta(seconds=5),
    ) -> None:
        if not _is_host(host):
            raise ValueError("CAUCE_SMTP_HOST: not a host's name or address, such as smtp.example.com")
        # Checked here because smtplib quotes what it cannot send, and so would tell the password.
        for variable, text in zip(("CAUCE_SMTP_USER", "CAUCE_SMTP_PASSWORD"), login or (), strict=False):
            if not (text.isascii() and text.isprintable() and text):
                raise ValueError(f"{variable}: empty, or has characters other than those of printable ASCII")
        self._relay = Relay(
            host=host,
            port=port,
            security=security,
            tls=None if security == "none" else ssl.create_default_context(),
            login=login,
            connect_timeout=connect_timeout,
            answer_timeout=answer_timeout,
        )
        self._handover_timeout = handover_timeout.total_seconds()
        self._keep_for = keep_for.total_seconds()
        self._kept: deque[tuple[float, Session]] = deque()
        """Since when, and what is idle since then; the newest last."""
        self._lock = Lock()

    def send(self, message: EmailMessage) -> Receipt:
        message = _in_ascii(message)
        content = mime_bytes(message, WIRE, id_header="X-Cauce-Message-Id")
        deadline = time.monotonic() + self._handover_timeout
        session = self._kept_session() or Session.open(self._relay, deadline)
        try:
            session.hand_over(message.sender.email, message.to_email, content, deadline)
        finally:
            self._keep(session)
        return Receipt(provider=self.name, provider_message_id=message.id[:100])

    def close(self) -> None:
        with self._lock:
            idle, self._kept = self._kept, deque()
        for _, session in idle:
            session.close()

    def _kept_session(self) -> Session | None:
        """An idle session that the server still answers in, or None."""
        while (session := self._newest()) is not None:
            if session.is_alive():
                return session
        return None

    def _newest(self) -> Session | None:
        with self._lock:
            earliest = time.monotonic() - self._keep_for
            expired = []
            while self._kept and self._kept[0][0] < earliest:
                expired.append(self._kept.popleft()[1])
            newest = self._kept.pop()[1] if self._kept else None
        for session in expired:
            session.close()
        return newest

    def _keep(self, session: Session) -> None:
        if session.is_open:
            with self._lock:
                self._kept.append((time.monotonic(), session))


def _is_host(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


def _in_ascii(message: EmailMessage) -> EmailMessage:
    """The same message with domains as the DNS has them, which every server understands.

    Raises: MessageRejected, if the contact's address is not one; ProviderUnavailable, if the sender's is not.
    """
    sender = _ascii_address(message.sender.email)
    if sender is None:
        raise ProviderUnavailable("SMTP: the sender's address is not one: check CAUCE_SENDER_EMAIL", SETTINGS_PATIENCE)
    recipient = _ascii_address(message.to_email)
    if recipient is None:
        raise MessageRejected("SMTP: the contact's address is not one")
    return message.model_copy(
        update={"sender": message.sender.model_copy(update={"email": sender}), "to_email": recipient}
    )


def _ascii_address(address: str) -> str | None:
    # The standard library's IDNA is that of 2003, which takes one domain for another: faß.de for fass.de.
    try:
        return validate_email(
            address, check_deliverability=False, allow_smtputf8=False, test_environment=True
        ).ascii_email
    except EmailNotValidError:
        return None
