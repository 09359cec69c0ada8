"""The words lint finds what the glossary replaces, and nothing in the places that quote it."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A sample of each rule, found in prose and, where it is one of WORDS, in an identifier too.
SAMPLES = {
    "pictures": "image",
    "true masks": "ground truth, ground-truth masks",
    "opinion": "in-vocabulary or out-of-vocabulary classifier, branch",
    "tower": "image encoder, text encoder",
    "told": "reported, printed, listed",
    "taken for": "classified as, predicted as",
    "judged": "evaluate, evaluator",
    "enlarged": "upsample",
    "feature cells": "feature location, patch",
    "text rows": "text embeddings, classifier weights",
    "missed segments": "false negatives",
    "are had": "is computed",
    "what is here of": "with the data you have",
    "colours": "color",
    "licence": "license",
    "centred": "center",
    "labelling": "labeled, labeling",
    "modelled": "modeled, modeling",
    "cancelled": "canceled, canceling",
    "grey": "gray",
    "neighbours": "neighbor, behavior, favor, honor",
    "catalogue": "catalog",
    "artefact": "artifact",
    "analyse": "analyze",
    "normalised": "-ize: normalize, optimize",
}
PHRASES = {
    "x.png is no label map": "is not a, are not",
    "give --embedding adapter": "--pooler, pooler=",
    'load(embedding="adapter")': "--pooler, pooler=",
    "give --like tiny": "--architecture, architecture=",
    "evaluate --subset train": "--split",
}


@pytest.fixture(scope="module")
def lint():
    spec = importlib.util.spec_from_file_location("lint_words", ROOT / "tools" / "lint_words.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def repository(lint, tmp_path, monkeypatch):
    """A folder in the place of the repository, and what its files hold."""
    monkeypatch.setattr(lint, "ROOT", tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_every_rule_has_a_sample(lint):
    assert {use for _, use in lint._WORDS} == set(SAMPLES.values())
    assert set(lint.PHRASES.values()) == set(PHRASES.values())


@pytest.mark.parametrize(("sample", "use"), [*SAMPLES.items(), *PHRASES.items()])
def test_prose_is_checked(lint, repository, capsys, sample, use):
    assert lint.main([repository("docs/page.md", f"# Title\n\nHere {sample} stands.\n")]) == 1
    line = capsys.readouterr().out
    assert re.fullmatch(rf"docs/page\.md:3: .+ -> {re.escape(use)}\n", line)


@pytest.mark.parametrize(
    "text", ['"""A docstring\n\nwith {}."""\n', "\n\nx = 1  # a comment with {}\n", '\n\nx = "{}"\n']
)
@pytest.mark.parametrize("sample", ["true masks", "x.png is no label map", "colour"])
def test_docstrings_comments_and_messages_are_checked(lint, repository, capsys, text, sample):
    assert lint.main([repository("src/a.py", text.format(sample))]) == 1
    assert capsys.readouterr().out.startswith("src/a.py:3: ")


@pytest.mark.parametrize(("sample", "use"), SAMPLES.items())
def test_identifiers_are_checked_by_their_parts(lint, sample, use):
    snake = sample.replace(" ", "_")
    camel = "".join(word.capitalize() for word in sample.split())
    for name in (snake, f"all_{snake}_here", camel, f"Many{camel}Here", snake.upper()):
        assert use in [finding.use for finding in lint.in_python(f"{name} = 1\n")], name


@pytest.mark.parametrize(
    ("source", "use"),
    [
        ("Enlarger(1)", "Upsampler"),
        ("Frame(1)", "ImageSizes"),
        ("surplus = 0", "false_positives"),
        ("missed = 0", "false_negatives"),
        ("load(embedding=name)", "pooler="),
        ("load(like=name)", "architecture="),
        ("open_dataset(name, subset='val')", "split="),
    ],
)
def test_old_names_are_checked(lint, source, use):
    assert use in [finding.use for finding in lint.in_python(f"{source}\n")]


@pytest.mark.parametrize(
    "source",
    [
        "embedding = pooler(features)",
        "like = 1",
        "torch.zeros_like(x)",
        "frame = video.read()",
        "a_file_that_is_no_image = 1",
        "DataFrame()",
        "x = 'there is no file, and it is no longer needed'",
        "x = 'ground truth, classes, image encoder, a realistic, optimistic center'",
        "old = '--embedding'  # old word",
    ],
)
def test_other_names_and_sentences_pass(lint, source):
    assert list(lint.in_python(f"{source}\n")) == []


def test_a_phrase_is_found_across_the_end_of_a_line(lint):
    assert [(finding.line, finding.word) for finding in lint.in_text("One.\nThese true\nmasks")] == [(2, "true masks")]


@pytest.mark.parametrize(
    "name",
    [
        "CHANGELOG.md",
        "docs/glossary.md",
        "src/maskadapter/system/renamed.py",
        "tools/lint_words.py",
        "results/report.md",
        "docs/images/demo.svg",
    ],
)
def test_places_that_quote_old_words_pass(lint, repository, capsys, name):
    assert lint.main([repository(name, "picture, tower, opinion")]) == 0
    assert capsys.readouterr().out == ""


def test_without_arguments_every_tracked_file_is_checked(lint, repository, monkeypatch, capsys):
    repository("docs/a.md", "a picture")
    repository("src/b.py", "tower = 1\n")
    repository("src/untracked.py", "tower = 1\n")
    monkeypatch.setattr(lint, "tracked", lambda root: ["docs/a.md", "src/b.py", "src/deleted.py"])
    assert lint.main([]) == 1
    assert [line.split(" ->")[0] for line in capsys.readouterr().out.splitlines()] == [
        "docs/a.md:1: picture",
        "src/b.py:1: tower",
    ]


def test_git_lists_the_files_of_this_repository(lint):
    assert {"README.md", "pyproject.toml"} <= set(lint.tracked(ROOT))
