"""What an SMTP server's answers and failures mean for the message that is being handed over.

Reasons hold codes alone: a server's text may quote the contact's address.
Source: RFC 5321, section 4.2; RFC 3463 and IANA's registry of enhanced status codes; RFC 4954 for AUTH.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from datetime import timedelta
from enum import StrEnum

from domain.messages import DeliveryAmbiguous, MailerError, MessageRejected, ProviderUnavailable, RateLimited

SETTINGS_PATIENCE = timedelta(minutes=5)
"""Until a message is tried again that was refused for a setting of ours: somebody has to mend it first."""


class Stage(StrEnum):
    """What the server was asked last."""

    GREETING = "the connection"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "the message"


_OPENING = (Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH)
_DETAIL = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?!\S)")
_TOO_LARGE = 552
_NOT_NOW = (421, 450, 451, 452)
_THROTTLED = 454
"""So Amazon SES says that too much was sent, with no detail. Elsewhere TLS, AUTH or relaying is not to be had now."""
_ABOUT_US = (500, 502, 503, 504, 530, 534, 535, 538)
"""Commands out of place, or no log-in where one is needed: whatever the message is."""
_BAD_SENDER = ("5.1.7", "5.1.8")
_CHECKS = {
    Stage.GREETING: "CAUCE_SMTP_HOST and CAUCE_SMTP_PORT",
    Stage.EHLO: "CAUCE_SMTP_HOST and CAUCE_SMTP_PORT",
    Stage.STARTTLS: "CAUCE_SMTP_SECURITY and CAUCE_SMTP_PORT",
    Stage.AUTH: "CAUCE_SMTP_USER and CAUCE_SMTP_PASSWORD",
}


def refused(stage: Stage, code: int, text: bytes = b"") -> MailerError:
    """What an answer means that is not the one hoped for. `code` may be any number, of what is not SMTP too."""
    found = _DETAIL.match(text)
    detail = found.group().decode() if found else ""
    said = f"{code} {detail}".rstrip() if code > 0 else "something else than SMTP"
    what = f"the SMTP server answered {said} to {stage}"
    match code // 100:
        case 4 if _is_about_pace(stage, code, detail):
            return RateLimited(what)
        case 4:
            return ProviderUnavailable(what)
        case 5 if _is_about_us(stage, code, detail):
            checks = _CHECKS.get(stage, "CAUCE_SENDER_EMAIL, CAUCE_SMTP_USER and CAUCE_SMTP_SECURITY")
            return ProviderUnavailable(f"{what}: check {checks}", SETTINGS_PATIENCE)
        case 5:
            return MessageRejected(what)
        case _ if stage is Stage.END:
            return DeliveryAmbiguous(f"{what}: neither yes nor no")
        case _:
            return ProviderUnavailable(f"{what}: neither yes nor no")


def not_opened(stage: Stage, error: OSError | ValueError) -> MailerError:
    """What it means that no connection came about. Nothing was handed over."""
    checks = f"check {_CHECKS[stage]}"
    match error:
        case smtplib.SMTPResponseException():
            # smtplib makes up some of its texts itself, as str.
            return refused(stage, error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b"")
        case smtplib.SMTPServerDisconnected():
            return ProviderUnavailable(f"the SMTP server was lost at {stage}: {how_lost(error)}")
        case smtplib.SMTPException():
            return ProviderUnavailable(
                f"the SMTP server does not offer {stage}, or in no way that Cauce knows: {checks}", SETTINGS_PATIENCE
            )
        case ssl.SSLCertVerificationError():
            return ProviderUnavailable(
                f"the SMTP server's certificate: {error.verify_message}: check CAUCE_SMTP_HOST and its certificate",
                SETTINGS_PATIENCE,
            )
        case ssl.SSLError() if not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return ProviderUnavailable(
                f"no TLS with the SMTP server: {error.reason}: check {_CHECKS[Stage.STARTTLS]}", SETTINGS_PATIENCE
            )
        case ValueError():
            return ProviderUnavailable(f"the SMTP server was not reached, at {stage}: {checks}")
        case _:
            return ProviderUnavailable(f"the SMTP server was not reached: {type(error).__name__}")


def how_lost(error: OSError) -> str:
    """The kind of failure below smtplib's own exception, such as TimeoutError."""
    return type(error.__context__ or error).__name__


def _is_about_pace(stage: Stage, code: int, detail: str) -> bool:
    """Whether "not now" speaks of load, of a policy or of this recipient, and not of a server out of order."""
    if code == _THROTTLED:
        return not detail and stage not in _OPENING
    if code not in _NOT_NOW:
        return False
    if detail in ("4.3.2", "4.4.5"):  # takes no messages now; congested
        return True
    return not detail.startswith(("4.3.", "4.4.")) if detail else stage not in _OPENING


def _is_about_us(stage: Stage, code: int, detail: str) -> bool:
    """Whether "no" would be said of any message: no message is lost to a setting that is wrong."""
    match stage:
        case Stage.END:
            return False
        case Stage.RCPT | Stage.DATA:
            # Many servers speak here of the sender, of the log-in and of relaying, which are policy: 5.7.
            return code in _ABOUT_US or detail.startswith("5.7.") or detail in _BAD_SENDER
        case Stage.MAIL:
            return code != _TOO_LARGE
        case _:
            return True
