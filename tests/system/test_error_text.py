"""Parts of one-line errors."""

import pytest

from maskadapter.system.error_text import did_you_mean, first_line


def test_the_first_line_of_a_message():
    assert first_line(ValueError("\n  too long \nsecond line")) == "too long"
    assert first_line(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("Catt", "did you mean 'cat'?"),
        ("DOG", "did you mean 'Dog'?"),
        ("lvis", "did you mean 'lvis-v1' or 'lvis-v0.5'?"),
        ("zebra", "choose from cat, Dog, lvis-v1, lvis-v0.5"),
        ("", "choose from cat, Dog, lvis-v1, lvis-v0.5"),
    ],
)
def test_a_near_name_is_suggested(given, text):
    assert did_you_mean(given, ["cat", "Dog", "lvis-v1", "lvis-v0.5"]) == text


def test_what_is_said_when_nothing_is_near():
    assert did_you_mean("zebra", ["cat"], otherwise="remove it") == "remove it"
