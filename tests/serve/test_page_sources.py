"""The page's files without a browser: nothing that its content security policy forbids, and nothing missing."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

FOLDER = files("maskadapter") / "serve" / "page"
SOURCES = {entry.name: entry.read_text(encoding="utf-8") for entry in FOLDER.iterdir()}
SCRIPTS = [name for name in SOURCES if name.endswith(".js")]


class _Index(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(SOURCES["index.html"])

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.attributes += attributes


def test_nothing_is_inline():
    index = _Index()
    assert all("src" in attributes for tag, attributes in index.tags if tag == "script")
    assert "style" not in {tag for tag, _ in index.tags}
    assert [name for name, _ in index.attributes if name == "style" or name.startswith("on")] == []


def test_every_file_that_is_named_is_there():
    named = {value for name, value in _Index().attributes if name in ("src", "href")}
    assert named == {f"static/{name}" for name in ("icon.svg", "page.css", "page.js")}
    imported = {name for script in SCRIPTS for name in re.findall(r'from "\./(.+?)"', SOURCES[script])}
    assert imported | {"page.js"} == set(SCRIPTS)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_no_other_origin_is_named(name):
    addresses = re.findall(r"https?://[^\"'\s]+", SOURCES[name])
    assert addresses in ([], ["http://www.w3.org/2000/svg"])  # the name of SVG, which nobody fetches


def test_every_element_that_the_scripts_ask_for_is_in_the_page():
    ids = [value for name, value in _Index().attributes if name == "id"]
    assert len(ids) == len(set(ids))
    asked = {name for script in SCRIPTS for name in re.findall(r'byId\("(.+?)"\)', SOURCES[script])}
    assert asked <= set(ids)


def test_labels_belong_to_fields():
    index = _Index()
    fields = {attributes.get("id") for tag, attributes in index.tags if tag in ("input", "textarea", "select")}
    assert {attributes["for"] for tag, attributes in index.tags if "for" in attributes} <= fields
