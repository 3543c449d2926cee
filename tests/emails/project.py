"""A small tree of templates, sound as written, for tests to spoil in one place."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from domain.contacts import Contact
from domain.flows import FlowSettings
from domain.messages import Sender
from emails.templates import Rendered, TemplateError, Templates
from tests.topics import topics_toml

SENDER = Sender(
    name="Acme & Sons",
    email="hello@acme.example",
    postal_address="Av. Providencia 1234, Santiago, Chile",
    website="https://acme.example",
)
UNSUBSCRIBE = "https://cauce.example/u/abc?a=1&b=2"

FOOTER = """<mj-section><mj-column><mj-text>
{{ sender.name }}, {{ sender.postal_address }}
{% if unsubscribe_url %}<a href="{{ unsubscribe_url }}">Stop</a>{% endif %}
</mj-text></mj-column></mj-section>
"""
BODY = """<mjml lang="LOCALE">
  <mj-head><mj-preview>In short</mj-preview></mj-head>
  <mj-body>
    <mj-section>
      <mj-column>
        <mj-text>TEXT</mj-text>
      </mj-column>
    </mj-section>
    <mj-include path="footer.mjml" />
  </mj-body>
</mjml>
"""
TEXT = "Hello {{ contact.first_name }}, your plan is {{ plan }}"


class TrialSettings(FlowSettings):
    plan: str = "team"
    remind_after: timedelta = timedelta(days=3)


class Project:
    """Templates of one flow, `trial`, with one message, `tip`, in two locales."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "emails"
        self.write("topics.toml", topics_toml("product"))
        self.write("trial/tip/message.toml", 'class = "relationship"\ntopic = "product"\n')
        for locale in ("en", "es"):
            self.write(f"layout/{locale}/footer.mjml", FOOTER)
            self.write(f"trial/tip/{locale}/subject.txt", f"{locale}: {{{{ contact.first_name }}}}\n")
            self.text(TEXT, locale)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def text(self, text: str, locale: str = "es") -> None:
        self.body(BODY.replace("TEXT", text), locale)

    def body(self, mjml: str, locale: str = "es") -> None:
        self.write(f"trial/tip/{locale}/body.mjml", mjml.replace("LOCALE", locale))

    def add_people_mail(self, name: str, text: str, message_class: str = "transactional") -> None:
        self.write(f"people/{name}/message.toml", f'class = "{message_class}"\ntopic = "team"\n')
        for locale in ("en", "es"):
            self.write(f"people/{name}/{locale}/subject.txt", "{{ subject }}\n")
            body = BODY.replace("TEXT", text).replace("LOCALE", locale).replace("footer.mjml", "team-footer.mjml")
            self.write(f"people/{name}/{locale}/body.mjml", body)
            self.write(f"layout/{locale}/team-footer.mjml", "<mj-section></mj-section>")

    def render(self, contact: Contact, unsubscribe_url: str | None = UNSUBSCRIBE, **settings: object) -> Rendered:
        return Templates.load(self.root).render(
            "trial",
            "tip",
            contact=contact,
            sender=SENDER,
            settings=TrialSettings.model_validate(settings),
            unsubscribe_url=unsubscribe_url,
        )

    def problems(self, *messages: str, settings_model: type[FlowSettings] = TrialSettings) -> list[str]:
        try:
            Templates.load(self.root).check("trial", settings_model, messages)
        except TemplateError as error:
            return list(error.problems)
        return []


def contact(first_name: str = "Ada", locale: str = "es") -> Contact:
    return Contact(id="0190a5", email="ada@example.com", first_name=first_name, locale=locale)
