"""A contact at the pages that their emails link to, with a browser that knows forms and no JavaScript."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import httpx

from emails.html_tree import Element, parse_html
from tests.api.caller import Caller

SITE = "http://127.0.0.1:8000"


class Subscriber:
    def __init__(self, api: Caller, contact_id: str) -> None:
        self.api = api
        self.id = contact_id
        self.preferences = api.services.links.unsubscribe_url(contact_id).removeprefix(SITE)
        self.confirmation = api.services.links.confirm_url(contact_id).removeprefix(SITE)

    async def page(self) -> str:
        """The preference page."""
        answer = await self.api.get(self.preferences)
        assert answer.status_code == 200
        return answer.text

    async def save(self, *topics: str, page: str | None = None) -> httpx.Response:
        """Tick these on the page, as it is now or was once, and no others, and save."""
        fields = form_fields(page or await self.page(), ticked=topics)
        return await self.post(self.preferences, [*fields, ("action", "save")])

    async def leave(self) -> httpx.Response:
        return await self.post(self.preferences, [*form_fields(await self.page()), ("action", "leave")])

    async def one_click(self) -> httpx.Response:
        """As a mail program does it (RFC 8058)."""
        return await self.post(self.preferences, [("List-Unsubscribe", "One-Click")])

    async def confirm(self, page: str | None = None) -> httpx.Response:
        shown = page or (await self.api.get(self.confirmation)).text
        return await self.post(self.confirmation, [*form_fields(shown), ("action", "confirm")])

    async def post(self, path: str, fields: Collection[tuple[str, str]]) -> httpx.Response:
        body = httpx.QueryParams(list(fields))
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "null"}
        return await self.api.http.post(path, content=str(body), headers=headers)

    async def view(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.api.get(f"/v1/contacts/{self.id}")).json()
        return answer

    async def record(self) -> list[dict[str, Any]]:
        """Their words, the latest first."""
        items: list[dict[str, Any]] = (await self.api.get(f"/v1/contacts/{self.id}/consent")).json()["items"]
        return items


def boxes(page: str) -> dict[str, bool]:
    """Whether each topic on a preference page is ticked."""
    return {_topic(box): "checked" in box.attributes for box in _inputs(page, "checkbox")}


def form_fields(page: str, ticked: Collection[str] | None = None) -> list[tuple[str, str]]:
    """What a browser would send of a page's form; with `ticked`, after these boxes alone are."""
    hidden = [(box.attributes["name"], box.attributes["value"]) for box in _inputs(page, "hidden")]
    wanted = [
        box
        for box in _inputs(page, "checkbox")
        if ("checked" in box.attributes if ticked is None else _topic(box) in ticked)
    ]
    assert ticked is None or {_topic(box) for box in wanted} == set(ticked), "a topic that the page does not show"
    return [*((box.attributes["name"], box.attributes["value"]) for box in wanted), *hidden]


def _topic(box: Element) -> str:
    return box.attributes["value"].partition(":")[0]


def _inputs(page: str, kind: str) -> list[Element]:
    return [box for box in parse_html(page).all("input") if box.attributes.get("type") == kind]
