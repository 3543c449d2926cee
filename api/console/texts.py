"""What the pages say, in the languages that they speak."""

from __future__ import annotations

from typing import Literal

from api.console.answer_texts import ANSWER_TEXTS
from api.console.contact_texts import CONTACT_TEXTS

Language = Literal["en", "es"]
DEFAULT: Language = "en"

_CONSOLE: dict[Language, dict[str, str]] = {
    "en": {
        "start": "Start",
        "outbox": "Outbox",
        "start_intro": "Durable marketing flows: every message that a flow promises, once, and none after leaving.",
        "api_docs": "API documentation",
        "api_docs_about": "Try every operation; the OpenAPI description is at",
        "outbox_about": "The emails of this machine: they are shown here, and sent to nobody.",
        "temporal": "Temporal Web UI",
        "temporal_about": "Where each enrollment is, and what happens to it next.",
        "outbox_empty": "No emails yet: enroll a contact, and what the flow sends them appears here.",
        "outbox_unused": "The outbox is not in use: emails go out through a provider (CAUCE_MAILER).",
        "subject": "Subject",
        "to": "To",
        "flow_step": "Flow and step",
        "date": "Date (UTC)",
        "older": "Older messages",
        "newest": "Newest messages",
        "back": "All messages",
        "raw": "Download as .eml",
        "headers": "Headers",
        "as_html": "As its reader sees it",
        "as_text": "Text part",
        "no_message": "There is no such message",
        "no_message_about": "The outbox has no message with this address.",
    },
    "es": {
        "start": "Inicio",
        "outbox": "Bandeja de salida",
        "start_intro": "Flujos de marketing duraderos: cada mensaje que un flujo promete, una sola vez, y ninguno "
        "después de salir.",
        "api_docs": "Documentación de la API",
        "api_docs_about": "Permite probar cada operación; la descripción OpenAPI está en",
        "outbox_about": "Los correos de esta máquina: se muestran aquí y no se envían a nadie.",
        "temporal": "Interfaz web de Temporal",
        "temporal_about": "Dónde está cada inscripción y qué le sucede después.",
        "outbox_empty": "Aún no hay correos: inscribe un contacto y lo que el flujo le envíe aparecerá aquí.",
        "outbox_unused": "La bandeja de salida no está en uso: los correos salen por un proveedor (CAUCE_MAILER).",
        "subject": "Asunto",
        "to": "Para",
        "flow_step": "Flujo y paso",
        "date": "Fecha (UTC)",
        "older": "Mensajes anteriores",
        "newest": "Mensajes más recientes",
        "back": "Todos los mensajes",
        "raw": "Descargar como .eml",
        "headers": "Encabezados",
        "as_html": "Como lo ve quien lo recibe",
        "as_text": "Parte de texto",
        "no_message": "Ese mensaje no existe",
        "no_message_about": "La bandeja de salida no tiene ningún mensaje en esta dirección.",
    },
}

TEXTS: dict[Language, dict[str, str]] = {
    language: {**texts, **ANSWER_TEXTS[language], **CONTACT_TEXTS[language]} for language, texts in _CONSOLE.items()
}


def preferred(accept_language: str) -> Language:
    """The language of an `Accept-Language` header that comes first for its sender and that we speak."""
    wanted: list[tuple[float, str]] = []
    for choice in accept_language.split(","):
        tag, _, quality = choice.partition(";q=")
        try:
            wanted.append((float(quality or 1), tag.strip()))
        except ValueError:
            continue
    # Stable: of equal weights, the one named first.
    for weight, tag in sorted(wanted, key=lambda choice: choice[0], reverse=True):
        if weight > 0 and (language := _spoken(tag)) is not None:
            return language
    return DEFAULT


def of_locale(locale: str) -> Language:
    """The language for a contact's locale."""
    return _spoken(locale) or DEFAULT


def _spoken(tag: str) -> Language | None:
    primary = tag.partition("-")[0].lower()
    return next((language for language in TEXTS if language == primary), None)
