"""Fail on words that the glossary replaces: ``python tools/lint_words.py [FILE ...]``.

Without arguments it reads every file that git tracks. It checks identifiers, comments, docstrings and messages of
Python files, and the whole text of Markdown, YAML, TOML and CFF files. Each finding is one line,
``file:line: word -> use this``; the exit code is 1 if there is one. A Python line that has to quote an old word ends in
the comment ``# old word``. ``docs/glossary.md`` explains the words.
"""

import argparse
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SUFFIXES = (".py", ".md", ".yaml", ".yml", ".toml", ".cff")
MARK = "# old word"

# Places that quote old words, and results, which keep the words of the day on which they were measured.
ALLOWED = (
    "CHANGELOG.md",
    "docs/glossary.md",
    "results/",
    "src/maskadapter/system/renamed.py",
    "tests/system/test_renamed.py",
    "tests/docs/test_lint_words.py",
    "tools/lint_words.py",
)

# In identifiers, whose parts are read as words, and in text. A space stands for any white space.
WORDS = {
    r"pictures?": "image",
    r"(?<!=\s)true masks?|true segments?|the truth": "ground truth, ground-truth masks",
    r"opinions?": "in-vocabulary or out-of-vocabulary classifier, branch",
    r"towers?": "image encoder, text encoder",
    r"told": "reported, printed, listed",
    r"taken for": "classified as, predicted as",
    r"judge[sd]?|judging": "evaluate, evaluator",
    r"enlarge[drs]?|enlarging": "upsample",
    r"feature cells?": "feature location, patch",
    r"text rows?|with rows": "text embeddings, classifier weights",
    r"(?:segments?|masks?|pixels?|nor|neither) missed|missed (?:segments?|masks?|pixels?)": "false negatives",
    r"(?:is|are|was|were|be) had": "is computed",
    r"what is here of": "with the data you have",
    r"colour\w*": "color",
    r"licence[sd]?|licencing": "license",
    r"centre[sd]?|centring": "center",
    r"labelled|labelling": "labeled, labeling",
    r"modelled|modelling": "modeled, modeling",
    r"cancelled|cancelling": "canceled, canceling",
    r"grey\w*": "gray",
    r"(?:neighbour|behaviour|favour|honour)\w*": "neighbor, behavior, favor, honor",
    r"catalogue[sd]?": "catalog",
    r"artefacts?": "artifact",
    r"analyse[sdr]?": "analyze",
    r"(?:normal|organ|recogn|initial|optim|quant|summar|visual|serial|minim|maxim|token|general|special|standard|regular"
    r"|binar|discret|parametr|vector|local)is(?:e|ed|es|er|ers|ing|ation|ations)": "-ize: normalize, optimize",
}
# In text alone.
PHRASES = {
    r"(?<!there\s)(?:is|are|was|were) no "
    r"(?!longer|more|less|fewer|other|better|worse|larger|smaller|faster|slower|higher|lower)\w+": "is not a, are not",
    r"--embedding(?![\w-])|embedding=(?=[\"'])": "--pooler, pooler=",
    r"--like(?![\w-])|like=(?=[\"'])": "--architecture, architecture=",
    r"--subset(?![\w-])": "--split",
}
KEYWORDS = {"embedding": "pooler=", "like": "architecture=", "subset": "split="}
NAMES = {"Enlarger": "Upsampler", "Frame": "ImageSizes", "missed": "false_negatives", "surplus": "false_positives"}


class Finding(NamedTuple):
    """One word that is to be replaced. line: from 1."""

    line: int
    word: str
    use: str


def _compiled(rules: Mapping[str, str]) -> list[tuple[re.Pattern[str], str]]:
    spaced = ((rule.replace(" ", r"\s+"), use) for rule, use in rules.items())
    return [(re.compile(rf"(?<![A-Za-z])(?:{rule})(?![A-Za-z])", re.IGNORECASE), use) for rule, use in spaced]


_WORDS = _compiled(WORDS)
_TEXT = [*_WORDS, *_compiled(PHRASES)]
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def in_text(text: str, first_line: int = 1) -> Iterator[Finding]:
    """Findings in prose. first_line: number of the text's first line in its file."""
    for pattern, use in _TEXT:
        for match in pattern.finditer(text):
            yield Finding(first_line + text.count("\n", 0, match.start()), " ".join(match.group().split()), use)


def in_identifier(name: str, line: int) -> Iterator[Finding]:
    """Findings in a Python name: ``true_masks`` and ``TrueMasks`` are read as "true masks"."""
    if name in NAMES:
        yield Finding(line, name, NAMES[name])
    words = " ".join(_PART.findall(name))
    yield from (Finding(line, name, use) for pattern, use in _WORDS if pattern.search(words))


def in_python(source: str) -> Iterator[Finding]:
    """Findings in the names, keyword arguments, strings and comments of a Python file."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if line <= len(lines) and lines[line - 1].rstrip().endswith(MARK):
            continue
        if token.type == tokenize.NAME:
            yield from in_identifier(token.string, line)
            if token.string in KEYWORDS and _is_keyword(lines[line - 1], token.end[1]):
                yield Finding(line, f"{token.string}=", KEYWORDS[token.string])
        elif token.type == tokenize.COMMENT or tokenize.tok_name[token.type] in ("STRING", "FSTRING_MIDDLE"):
            yield from in_text(token.string, line)


def _is_keyword(line: str, end: int) -> bool:
    """Whether the name that ends there is a keyword argument: its sign has no spaces around it, an assignment's has."""
    return re.match(r"=[^\s=]", line[end:]) is not None


def findings(path: Path) -> list[Finding]:
    """All findings in one file, by line."""
    text = path.read_text(encoding="utf-8")
    return sorted(set(in_python(text) if path.suffix == ".py" else in_text(text)))


def is_checked(name: str) -> bool:
    """Whether a file, named relative to the root, is of a kind that is checked, and not a place that quotes."""
    return name.endswith(SUFFIXES) and not name.startswith(ALLOWED)


def tracked(root: Path) -> list[str]:
    """The names of all files that git tracks, relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name]


def main(arguments: Sequence[str]) -> int:
    """Print the findings of the given files, or of all tracked ones, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="*", type=Path)
    given = parser.parse_args(arguments).file
    names = [path.resolve().relative_to(ROOT).as_posix() for path in given] or tracked(ROOT)
    count = 0
    for name in names:
        if is_checked(name) and (ROOT / name).is_file():
            for line, word, use in findings(ROOT / name):
                print(f"{name}:{line}: {word} -> {use}")
                count += 1
    if count:
        print(f"{count} words to replace, see docs/glossary.md", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
