"""Erasure of somebody at SendGrid.

Source: SendGrid v3 API reference, Recipients' Data Erasure, read 2026-11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import timedelta

import httpx

from domain.erasure import Asked, ErasureRefused, ProviderReply
from domain.messages import NotAccepted, ProviderUnavailable, RateLimited
from integrations.sendgrid.client import sendgrid_client

ACCEPTED = 202
_WINDOW = timedelta(minutes=1)
"""Of the limit of 100 requests."""
_SETTINGS_PATIENCE = timedelta(minutes=5)
"""Until it is asked again that did not take our key: somebody has to mend it first."""
_JOB_ID = re.compile(r"[\w-]{1,100}")


class SendGridEraser:
    """Has SendGrid delete what it holds of an address: names, subjects, IP addresses. That takes it some days.

    Its suppression lists stay as they are, as ours do: they are what keeps the address from being written to.

    Raises: ValueError, when the API key or the URL cannot be one.
    """

    def __init__(
        self, api_key: str, url: str = "https://api.sendgrid.com", *, read_timeout: timedelta = timedelta(seconds=30)
    ) -> None:
        self._client = sendgrid_client(api_key, url, read_timeout=read_timeout, connections=1)

    def erase(self, email: str, message_ids: Collection[str]) -> ProviderReply:
        try:
            response = self._client.post("/v3/recipients/erasejob", content=json.dumps({"email_addresses": [email]}))
        except UnicodeError as error:  # a host name that cannot be one, found when it is looked up
            raise ProviderUnavailable("SendGrid was not reached: check CAUCE_SENDGRID_URL") from error
        except httpx.HTTPError as error:
            # Even if it has the request: to ask twice does no harm.
            raise ProviderUnavailable(f"SendGrid gave no answer: {type(error).__name__}") from error
        if response.status_code != ACCEPTED:
            raise _refused(response.status_code)
        return ProviderReply(outcome=Asked.ACCEPTED, detail=f"SendGrid's job {_job_id(response)}")

    def close(self) -> None:
        self._client.close()


def _refused(status: int) -> NotAccepted | ErasureRefused:
    match status:
        case 401:
            return ProviderUnavailable("SendGrid answered 401: check SENDGRID_API_KEY", _SETTINGS_PATIENCE)
        case 403 | 404:
            return ErasureRefused(
                f"SendGrid answered {status}: the key lacks the permission recipients.erasejob.create, "
                "or the account has no erasure by API and SendGrid's support has to be asked"
            )
        case 429:
            return RateLimited("SendGrid answered 429: too many erasures", _WINDOW)
        case _ if status >= 500:
            return ProviderUnavailable(f"SendGrid answered {status}: it is out of order")
        case _:
            return ErasureRefused(f"SendGrid answered {status} and not {ACCEPTED}")


def _job_id(response: httpx.Response) -> str:
    try:
        job_id = str(response.json()["job_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        job_id = ""
    return job_id if _JOB_ID.fullmatch(job_id) else "without an id"
