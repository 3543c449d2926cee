"""Email through SendGrid's v3 Mail Send.

Source: SendGrid v3 API reference, Mail Send and Errors, read 2026-11; sendgrid 6.12.5.
"""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta

import httpx
from sendgrid.helpers.mail import CustomArg, Header, Subject, To

from domain.message_batches import Letter, MessageBatch
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
from integrations.sendgrid.batch import MAX_LETTERS, batch_body, batch_rejection, fits
from integrations.sendgrid.body import MESSAGE_ID, envelope, is_address, opt_out_headers
from integrations.sendgrid.client import sendgrid_client

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
    batch_size = MAX_LETTERS

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
        response = self._post(_body(message))
        if response.status_code != ACCEPTED:
            raise _refused(response)
        return self._receipt(response, message.id)

    def takes(self, letter: Letter) -> bool:
        return is_address(letter.to_email) and fits(letter)

    def send_batch(self, batch: MessageBatch) -> Receipt:
        response = self._post(batch_body(batch))
        if response.status_code != ACCEPTED:
            error = _refused(response)
            raise batch_rejection(error, response.status_code, _fields(response)) or error
        return self._receipt(response, batch.letters[0].id)

    def _post(self, body: bytes) -> httpx.Response:
        try:
            return self._client.post("/v3/mail/send", content=body)
        except UnicodeError as error:  # a host name that cannot be one, found when it is looked up
            raise ProviderUnavailable("SendGrid was not reached: check CAUCE_SENDGRID_URL") from error
        except httpx.HTTPError as error:
            raise _lost(error) from error

    def _receipt(self, response: httpx.Response, otherwise: str) -> Receipt:
        """The answer's `X-Message-Id`; of one without, an id of ours."""
        receipt = response.headers.get("X-Message-Id", "")[:100] or otherwise
        return Receipt(provider=self.name, provider_message_id=receipt)

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
            return MessageRejected(f"SendGrid answered {status}: {', '.join(fields[:5]) or 'no field named'}")
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
    return [name for name in names if isinstance(name, str) and _FIELD.fullmatch(name)]


def _until_reset(response: httpx.Response) -> timedelta | None:
    """From now to `X-RateLimit-Reset`, an epoch: between a second and an hour, or None when it is absent or junk."""
    try:
        seconds = int(response.headers["X-RateLimit-Reset"]) - time.time()
    except (KeyError, ValueError, OverflowError):
        return None
    return timedelta(seconds=min(max(seconds, 1), 3600))


def _body(message: EmailMessage) -> bytes:
    if not is_address(message.to_email):
        raise MessageRejected("SendGrid: the contact's address is not one")
    has_opt_out = message.unsubscribe_url is not None
    mail = envelope(message.sender, message.text, message.html, message.flow, message.step, has_opt_out=has_opt_out)
    recipient = To()
    # Set and not given to To(), which takes an address without a name apart and loses one that it cannot read.
    recipient.email, recipient.name = message.to_email, one_line(message.to_name) or None
    mail.add_to(recipient)
    mail.subject = Subject(one_line(message.subject))
    mail.add_custom_arg(CustomArg(MESSAGE_ID, message.id))
    for name, value in opt_out_headers(message.unsubscribe_url).items():
        mail.add_header(Header(name, value))
    return json.dumps(mail.get()).encode()
