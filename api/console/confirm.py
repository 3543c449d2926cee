"""The page by which a contact confirms what somebody said that they agreed to.

Mail scanners follow links: only the POST confirms. The link itself is the authority: there is no key, and no cookie.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.console.choice_form import read_choice, shown_as
from api.console.pages import ReaderLanguage, page
from api.console.preferences import titles
from api.console.texts import Language, of_locale
from api.preferences import ContactGone, Preferences, confirm, read_preferences
from api.wiring import Services, Wired
from runtime.links import LinkExpired

router = APIRouter(prefix="/confirm")


@router.api_route("/{token}", methods=["GET", "HEAD"])
async def ask_to_confirm(token: str, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    try:
        return _page(services, await read_preferences(services, _contact_id(services, token)), [])
    except LinkExpired:
        return _dead(services, language, "confirm_expired", 410)
    except ContactGone:
        return _dead(services, language, "confirm_bad", 404)


@router.post("/{token}")
async def take_confirmation(token: str, request: Request, services: Wired, language: ReaderLanguage) -> HTMLResponse:
    form = await read_choice(request)
    try:
        contact_id = _contact_id(services, token)
        confirmed = await confirm(services, contact_id, form.topics)
        return _page(services, await read_preferences(services, contact_id), confirmed)
    except LinkExpired:
        return _dead(services, language, "confirm_expired", 410)
    except ContactGone:
        return _dead(services, language, "confirm_bad", 404)


def _contact_id(services: Services, token: str) -> str:
    """Raises: LinkExpired, ContactGone."""
    contact_id = services.links.contact_of_confirmation(token)
    if contact_id is None:
        raise ContactGone
    return contact_id


def _page(services: Services, preferences: Preferences, confirmed: list[str]) -> HTMLResponse:
    """What is confirmed now is told; then whatever is still to be confirmed is asked, or that nothing is."""
    language = of_locale(preferences.contact.locale)
    topics = [services.topics[topic] for topic in preferences.requested]
    state = "ask" if preferences.requested else "confirmed" if confirmed else "settled"
    return page(
        "confirm.html",
        language,
        sender=services.settings.sender_name,
        sender_email=services.settings.sender_email,
        state=state,
        texts_of_topics=[topic.text(language) for topic in topics],
        values=[shown_as(name, topic.wording) for name, topic in zip(preferences.requested, topics, strict=True)],
        on=titles(services, preferences.on, language),
        preferences=preferences,
        preferences_url=services.links.unsubscribe_url(preferences.contact.id),
    )


def _dead(services: Services, language: Language, state: str, status: int) -> HTMLResponse:
    return page("dead_link.html", language, status=status, state=state, sender=services.settings.sender_name)
