"""The page that an email's opt-out link leads to, where a contact leaves topics or joins them; RFC 8058's one click.

Mail scanners follow links: only the POST changes anything. It needs no cookie, no key and no redirect.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.console.choice_form import ChoiceForm, read_choice, shown_as
from api.console.pages import ReaderLanguage, page
from api.console.texts import Language, of_locale
from api.preferences import ContactGone, Preferences, choose, leave_all, read_preferences
from api.wiring import Services, Wired

router = APIRouter(prefix="/unsubscribe")
Done = Literal["saved", "left", "outdated"]


@router.api_route("/{token}", methods=["GET", "HEAD"])
async def show_preferences(token: str, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    contact_id = services.links.contact_of_unsubscribe(token)
    try:
        return _page(services, await _read(services, contact_id))
    except ContactGone:
        return _bad_link(services, language)


@router.post("/{token}")
async def change_preferences(token: str, request: Request, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    contact_id = services.links.contact_of_unsubscribe(token)
    form = await read_choice(request)
    try:
        done = await _change(services, contact_id, form)
        return _page(services, await _read(services, contact_id), done)
    except ContactGone:
        return _bad_link(services, language)


async def _change(services: Services, contact_id: str | None, form: ChoiceForm) -> Done:
    if contact_id is None:
        raise ContactGone
    # Whatever is no form of ours is one click: a mail program's request must not fail for how it is written.
    if form.leaves or not form.is_ours:
        await leave_all(services, contact_id)
        return "left"
    await choose(services, contact_id, form.was_on, form.topics)
    known = {topic: services.topics[topic].wording for topic in form.topics if topic in services.topics}
    is_outdated = any(form.topics[topic] != wording for topic, wording in known.items() if topic not in form.was_on)
    return "outdated" if is_outdated else "saved"


async def _read(services: Services, contact_id: str | None) -> Preferences:
    if contact_id is None:
        raise ContactGone
    return await read_preferences(services, contact_id)


def _page(services: Services, preferences: Preferences, done: Done | None = None) -> HTMLResponse:
    language = of_locale(preferences.contact.locale)
    return page(
        "preferences.html",
        language,
        sender=services.settings.sender_name,
        sender_email=services.settings.sender_email,
        topics=[
            {
                "name": offer.topic,
                "value": shown_as(offer.topic, services.topics[offer.topic].wording),
                "text": services.topics[offer.topic].text(language),
                "is_on": offer.topic in preferences.on,
                "is_requested": offer.topic in preferences.requested and not preferences.has_left,
            }
            for offer in preferences.offers
        ],
        on=titles(services, preferences.on, language),
        done=done,
        preferences=preferences,
    )


def titles(services: Services, topics: list[str], language: Language) -> str:
    return ", ".join(services.topics[topic].text(language).title for topic in topics)


def _bad_link(services: Services, language: Language) -> HTMLResponse:
    return page("dead_link.html", language, status=404, state="bad_link", sender=services.settings.sender_name)
