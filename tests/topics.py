"""Topics for templates of tests: sound, and about nothing."""

from __future__ import annotations

_TEXT = 'title = "{name}"\ndescription = "About {name}."\nagreement = "I want emails about {name}."\n'


def topics_toml(*names: str, wording: str = "1") -> str:
    """The text of a `topics.toml` that describes these."""
    return "\n".join(
        f'[{name}]\nwording = "{wording}"\npurpose = "To write about {name}"\npublic = true\n'
        f"[{name}.en]\n{_TEXT.format(name=name)}[{name}.es]\n{_TEXT.format(name=name)}"
        for name in names
    )
