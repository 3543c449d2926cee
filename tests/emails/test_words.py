from __future__ import annotations

from emails.words import Words


def test_people_read_what_a_flow_says_in_their_language() -> None:
    words = Words.load()
    english = "Call the lead and offer a meeting"
    assert words.say("lead_assignment", english, "es-CL") == "Llama al lead y ofrécele una reunión"
    assert words.say("lead_assignment", english, "en") == english
    assert words.say("lead_assignment", "Something new", "es") == "Something new"
    assert words.say("gone", "Anything", "es") == "Anything"
