"""One conversation with an SMTP server: opened, asked message by message, and closed.

smtplib's `sendmail` is not used: it writes a message and the dot that ends it in one piece, so that nobody could tell
whether a connection broke before that dot or after it.

Source: RFC 5321; RFC 3207 for STARTTLS; smtplib of Python 3.11.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Literal, Self

from domain.messages import DeliveryAmbiguous, MailerError, ProviderUnavailable
from integrations.smtp.answers import Stage, how_lost, not_opened, refused

Security = Literal["starttls", "tls", "none"]
_LEAST_SECONDS = 0.001
"""Zero would make a socket one that never waits."""


@dataclass(frozen=True, kw_only=True)
class Relay:
    """Where messages are handed over. `tls` is None for a conversation in the clear, `login` is user and password."""

    host: str
    port: int
    security: Security
    tls: ssl.SSLContext | None
    login: tuple[str, str] | None = field(repr=False)
    connect_timeout: timedelta
    answer_timeout: timedelta


class Session:
    """Greeted, encrypted and logged in. For one thread at a time.

    After an error the session may still be good: `is_open` says it.
    """

    def __init__(self, smtp: smtplib.SMTP, relay: Relay) -> None:
        self._smtp = smtp
        self._relay = relay

    @classmethod
    def open(cls, relay: Relay, deadline: float) -> Self:
        """Connect, by `deadline` of the monotonic clock or little later.

        Raises: ProviderUnavailable, RateLimited.
        """
        stage, smtp = Stage.GREETING, None
        try:
            smtp = _connected(relay)
            # The dot is a packet of its own: it must not wait until the message before it is acknowledged.
            _socket(smtp).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stage = Stage.EHLO
            _limit(smtp, deadline)
            smtp.ehlo_or_helo_if_needed()
            if relay.security == "starttls":
                stage = Stage.STARTTLS
                _limit(smtp, deadline)
                smtp.starttls(context=relay.tls)
                stage = Stage.EHLO
                _limit(smtp, deadline)
                smtp.ehlo_or_helo_if_needed()
            if relay.login is not None:
                stage = Stage.AUTH
                _limit(smtp, deadline)
                smtp.login(*relay.login)
        except (OSError, ValueError) as error:
            if smtp is not None:
                smtp.close()
            # From None: smtplib's errors hold the server's text, and those of AUTH may hold what was sent.
            raise not_opened(stage, error) from None
        return cls(smtp, relay)

    @property
    def is_open(self) -> bool:
        return self._smtp.sock is not None

    def is_alive(self) -> bool:
        """Ask the server, which forgets what is left of a refused message. A session that is not alive is closed."""
        try:
            _socket(self._smtp).settimeout(self._relay.connect_timeout.total_seconds())
            alive = self._smtp.rset()[0] == 250
        except OSError:
            alive = False
        if not alive:
            self.close()
        return alive

    def hand_over(self, sender: str, recipient: str, content: bytes, deadline: float) -> None:
        """Hand over one message: addresses in ASCII, `content` in lines of ASCII that end with CRLF.

        `deadline`, of the monotonic clock, is that of everything before the final dot.

        Raises: MessageRejected, RateLimited, ProviderUnavailable; DeliveryAmbiguous from the first byte of the dot on.
        """
        try:
            self._write(sender, recipient, content, deadline)
            answer = self._end()
        except MailerError:
            raise
        except BaseException:
            self.close()  # in the middle of a message nothing else can be said
            raise
        self._expect(2, Stage.END, answer)

    def _write(self, sender: str, recipient: str, content: bytes, deadline: float) -> None:
        """All but the dot."""
        smtp, stage = self._smtp, Stage.MAIL
        try:
            _limit(smtp, deadline)
            self._expect(2, stage, smtp.mail(sender, [f"size={len(content)}"] if smtp.has_extn("size") else []))
            stage = Stage.RCPT
            _limit(smtp, deadline)
            self._expect(2, stage, smtp.rcpt(recipient))
            stage = Stage.DATA
            _limit(smtp, deadline)
            self._expect(3, stage, smtp.docmd("data"))
            _limit(smtp, deadline)
            smtp.send(_stuffed(content))
        except OSError as error:
            self.close()
            raise ProviderUnavailable(f"the SMTP server was lost at {stage}: {how_lost(error)}") from None

    def _end(self) -> tuple[int, bytes]:
        """Write the dot, and answer what the server says to it."""
        try:
            _socket(self._smtp).settimeout(self._relay.answer_timeout.total_seconds())
            self._smtp.send(b".\r\n")
            return self._smtp.getreply()
        except OSError as error:
            self.close()
            raise DeliveryAmbiguous(
                f"the SMTP server gave no answer after the message went out: {how_lost(error)}"
            ) from None

    def close(self) -> None:
        """Say goodbye and close, without waiting for an answer. A closed session stays closed."""
        with suppress(OSError):
            if self.is_open:
                _socket(self._smtp).settimeout(_LEAST_SECONDS)
                self._smtp.putcmd("QUIT")
        self._smtp.close()

    def _expect(self, first_digit: int, stage: Stage, answer: tuple[int, bytes]) -> None:
        code, text = answer
        if code // 100 == first_digit:
            return
        if code // 100 not in (4, 5):  # what it says is out of step, or not SMTP
            self.close()
        raise refused(stage, code, text)


def _connected(relay: Relay) -> smtplib.SMTP:
    timeout = relay.connect_timeout.total_seconds()
    if relay.security == "tls":
        return smtplib.SMTP_SSL(relay.host, relay.port, _own_name(), timeout=timeout, context=relay.tls)
    return smtplib.SMTP(relay.host, relay.port, _own_name(), timeout=timeout)


@cache
def _own_name() -> str:
    """What this machine calls itself at EHLO. Kept: to find it may take a look-up that times out."""
    return smtplib.SMTP().local_hostname


def _limit(smtp: smtplib.SMTP, deadline: float) -> None:
    """Let what comes next fail when `deadline` passes."""
    _socket(smtp).settimeout(max(deadline - time.monotonic(), _LEAST_SECONDS))


def _socket(smtp: smtplib.SMTP) -> socket.socket:
    if smtp.sock is None:
        raise smtplib.SMTPServerDisconnected("not connected")
    return smtp.sock


def _stuffed(content: bytes) -> bytes:
    """With a dot before each dot that begins a line (RFC 5321, section 4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", content)
