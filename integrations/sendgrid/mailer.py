"""Email through SendGrid's v3 Mail Send.

Source: SendGrid v3 API reference, Mail Send and Errors, read 2026-11; sendgrid 6.12.5.
"""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta

import httpx
from sendgrid.helpers.mail import (
    Category,
    ClickTracking,
    Content,
    CustomArg,
    From,
    Header,
    Mail,
    MimeType,
    Subject,
    SubscriptionTracking,
    To,
    TrackingSettings,
)
from sendgrid.helpers.mail.exceptions import ApiKeyIncludedException

from domain.messages import (
    DeliveryAmbiguous,
    EmailMessage,
    MailerError,
    MessageRejected,
    ProviderUnavailable,
    RateLimited,
    Receipt,
    one_line,
)
from integrations.sendgrid.client import sendgrid_client

_ADDRESS = re.compile(r"[^\s\x00-\x1f<>,;@]+@[^\s\x00-\x1f<>,;@]+")
ACCEPTED = 202
SETTINGS_PATIENCE = timedelta(minutes=5)
"""Until a message is tried again that was refused for a setting of ours: somebody has to mend it first."""
_FIELD = re.compile(r"[\w.\[\]-]{1,100}")


class SendGridMailer:
    """Hands messages to SendGrid. Safe to call from several threads: they share one pool of `connections`.

    Each message carries its id as the custom argument `cauce_message_id`, which SendGrid's webhook events echo.
    The receipt holds SendGrid's `X-Message-Id`, or the message's own id when the answer has none.

    Raises: ValueError, when the API key or the URL cannot be one.
    Idempotency: none. SendGrid delivers a message as often as it is handed over.
    """

    name = "sendgrid"
    idempotent = False

    def __init__(
        self,
        api_key: str,
        url: str = "https://api.sendgrid.com",
        *,
        connect_timeout: timedelta = timedelta(seconds=5),
        write_timeout: timedelta = timedelta(seconds=10),
        read_timeout: timedelta = timedelta(seconds=30),
        pool_timeout: timedelta = timedelta(seconds=10),
        connections: int = 100,
    ) -> None:
        self._client = sendgrid_client(
            api_key,
            url,
            connect_timeout=connect_timeout,
            write_timeout=write_timeout,
            read_timeout=read_timeout,
            pool_timeout=pool_timeout,
            connections=connections,
        )

    def send(self, message: EmailMessage) -> Receipt:
        body = _body(message)
        try:
            response = self._client.post("/v3/mail/send", content=body)
        except UnicodeError as error:  # a host name that cannot be one, found when it is looked up
            raise ProviderUnavailable("SendGrid was not reached: check CAUCE_SENDGRID_URL") from error
        except httpx.HTTPError as error:
            raise _lost(error) from error
        if response.status_code != ACCEPTED:
            raise _refused(response)
        return Receipt(
            provider=self.name, provider_message_id=response.headers.get("X-Message-Id", "")[:100] or message.id
        )

    def close(self) -> None:
        self._client.close()


def _lost(error: httpx.HTTPError) -> MailerError:
    """What no answer means: surely not sent when no connection was had, else nobody knows."""
    what = type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError):
        return ProviderUnavailable(f"SendGrid was not reached: {what}")
    return DeliveryAmbiguous(f"SendGrid gave no answer after the message went out: {what}")


def _refused(response: httpx.Response) -> MailerError:
    """What an answer other than 2xx means."""
    status = response.status_code
    match status:
        case 400 | 413 | 422:
            fields = _fields(response)
            if any(field.startswith("from") for field in fields):
                # The sender is a setting: no message is lost to one that is wrong.
                return ProviderUnavailable(
                    f"SendGrid answered {status} about the sender: check CAUCE_SENDER_EMAIL", SETTINGS_PATIENCE
                )
            return MessageRejected(f"SendGrid answered {status}: {', '.join(fields) or 'no field named'}")
        case 429:
            return RateLimited("SendGrid answered 429: too many messages", _until_reset(response))
        case 500 | 503:
            return ProviderUnavailable(f"SendGrid answered {status}: it is out of order")
        case _ if status < 300:
            return DeliveryAmbiguous(f"SendGrid answered {status} and not {ACCEPTED}: something else may stand there")
        case _ if status < 500:
            # About us and not about the message: the same message passes once the settings are mended.
            return ProviderUnavailable(
                f"SendGrid answered {status}: check SENDGRID_API_KEY, CAUCE_SENDGRID_URL and the sender's verification",
                SETTINGS_PATIENCE,
            )
        case _:
            # 502 and 504 come from a gateway that lost SendGrid's answer; of others nobody knows who sent them.
            return DeliveryAmbiguous(f"SendGrid answered {status}: a gateway may have lost its answer")


def _fields(response: httpx.Response) -> list[str]:
    """The names of the fields that SendGrid complains about. Its messages may quote the address, and stay out."""
    try:
        names = [error["field"] for error in response.json()["errors"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        names = []
    return [name for name in names[:5] if isinstance(name, str) and _FIELD.fullmatch(name)]


def _until_reset(response: httpx.Response) -> timedelta | None:
    """From now to `X-RateLimit-Reset`, an epoch: between a second and an hour, or None when it is absent or junk."""
    try:
        seconds = int(response.headers["X-RateLimit-Reset"]) - time.time()
    except (KeyError, ValueError, OverflowError):
        return None
    return timedelta(seconds=min(max(seconds, 1), 3600))


def _body(message: EmailMessage) -> bytes:
    sender, recipient = From(), To()
    sender.email, sender.name = message.sender.email, one_line(message.sender.name)
    # Set and not given to To(), which takes an address without a name apart and loses one that it cannot read.
    recipient.email, recipient.name = message.to_email, one_line(message.to_name) or None
    if not _ADDRESS.fullmatch(message.to_email):
        raise MessageRejected("SendGrid: the contact's address is not one")

    mail = Mail(from_email=sender, to_emails=recipient, subject=Subject(one_line(message.subject)))
    try:
        mail.add_content(Content(MimeType.text, message.text))
        mail.add_content(Content(MimeType.html, message.html))
    except ApiKeyIncludedException:
        raise MessageRejected("SendGrid: the text begins with what looks like a SendGrid API key") from None
    mail.add_custom_arg(CustomArg("cauce_message_id", message.id))
    # The library puts each new category first.
    for category in (f"{message.flow}/{message.step}", message.flow):
        mail.add_category(Category(category))
    if message.unsubscribe_url is not None:
        mail.add_header(Header("List-Unsubscribe", f"<{one_line(message.unsubscribe_url)}>"))
        mail.add_header(Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    mail.tracking_settings = TrackingSettings(
        subscription_tracking=SubscriptionTracking(enable=False),
        # Links of other messages are somebody's authority to confirm or to answer: nobody else is to see them.
        click_tracking=None if message.unsubscribe_url else ClickTracking(enable=False, enable_text=False),
    )
    return json.dumps(mail.get()).encode()
