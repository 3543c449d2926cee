"""A project of one flow in a folder: what the flow sends and waits for is beside it, sound, for a test to spoil."""

from __future__ import annotations

import re
from pathlib import Path

from inspection.layout import Layout
from tests.topics import topics_toml

_SENDS = re.compile(r"""self\.send\(\s*f?"([^"]*)"(?:,\s*(?:message=)?"([^"]*)")?""")
_WAITS = re.compile(r"""self\.(?:wait|wait_until|wait_for_local_time|happened|ask|task|assign_lead)\(\s*f?"([^"]+)\"""")
_LISTED = re.compile(r"^# messages:(.*)$", re.MULTILINE)
_CLASS = re.compile(r"^class (\w+)\(.*\bFlow\b", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_FOOTER = """<mj-section><mj-column><mj-text>
{{ sender.name }}, {{ sender.postal_address }}
{% if unsubscribe_url %}<a href="{{ unsubscribe_url }}">Stop</a>{% endif %}
</mj-text></mj-column></mj-section>
"""
_BODY = """<mjml lang="LOCALE">
  <mj-body>
    <mj-section><mj-column><mj-text>Hello {{ contact.first_name }}</mj-text></mj-column></mj-section>
    <mj-include path="footer.mjml" />
  </mj-body>
</mjml>
"""


class FlowProject:
    """Files below `root`, laid out like ours."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout.of(root)

    def add(self, flow: str, source: str) -> None:
        """Write a flow with its messages, its test, its histories, and the flow `sales` if it names that.

        A line `# messages: tip, hint` says which messages there are, if not those that are plain to see.
        """
        self.write(f"workflows/{flow}.py", source)
        if '"sales"' in source:
            self.write("workflows/sales.py", "class Sales(Flow[FlowSettings]):\n    pass\n")
        listed = _LISTED.search(source)
        plain = [message or step for step, message in _SENDS.findall(source)]
        for message in listed[1].strip().split(", ") if listed else plain:
            if _NAME.fullmatch(message):
                self.add_message(flow, message)
        for name in _CLASS.findall(source)[:1]:
            test = f"from workflows.{flow} import {name}\n\n\nasync def test_{flow}():\n    assert {name}\n"
            self.write(f"tests/flows/test_{flow}.py", test)
        for history in ("finished", "exited-goal", *(f"waiting-{step}" for step in _WAITS.findall(source))):
            name = re.sub(r"\{[^}]*\}", "1", history)
            self.write(f"tests/histories/{flow}/1a2b3c/{name}.json", '{"events": [{"eventId": "1"}]}')

    def add_message(self, flow: str, message: str) -> None:
        folder = f"emails/{flow}/{message}"
        self.write("emails/topics.toml", topics_toml("product"))
        self.write(f"{folder}/message.toml", 'class = "relationship"\ntopic = "product"\n')
        for locale in ("en", "es"):
            self.write(f"emails/layout/{locale}/footer.mjml", _FOOTER)
            self.write(f"{folder}/{locale}/subject.txt", "A tip\n")
            self.write(f"{folder}/{locale}/body.mjml", _BODY.replace("LOCALE", locale))

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
