"""Nouns for visible things from WordNet, with their synonyms and hypernyms.

Reads WordNet 3.0 (Debian package `wordnet-base`) and the name lists of `--shared`. Seconds.
"""

import re
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")
# WordNet's lexicographer files whose nouns can be seen in an image.
PHYSICAL = {
    5: "animal",
    6: "artifact",
    8: "body",
    13: "food",
    15: "location",
    17: "object",
    18: "person",
    19: "phenomenon",
    20: "plant",
    27: "substance",
}
# The top of a taxonomy does not describe appearance.
TOO_GENERAL = {
    "entity",
    "physical entity",
    "object",
    "whole",
    "thing",
    "matter",
    "artifact",
    "abstraction",
    "living thing",
    "causal agent",
}


class WordNet:
    """Nouns: `synsets[offset] = (lexfile, lemmas, hypernym offsets)`; `senses[lemma]`: offsets, most frequent first."""

    def __init__(self, folder: Path = WORDNET):
        self.synsets: dict[str, tuple[int, list[str], list[str]]] = {}
        for line in (folder / "data.noun").read_text(encoding="latin-1").splitlines():
            if line.startswith("  "):
                continue
            fields = line.split(" | ")[0].split()
            count = int(fields[3], 16)
            lemmas = [fields[4 + 2 * i].replace("_", " ") for i in range(count)]
            rest = fields[4 + 2 * count :]
            parents = [rest[i + 1] for i in range(len(rest) - 1) if rest[i] in ("@", "@i")]
            self.synsets[fields[0]] = (int(fields[1]), lemmas, parents)
        self.senses: dict[str, list[str]] = {}
        for line in (folder / "index.noun").read_text(encoding="latin-1").splitlines():
            if line.startswith("  "):
                continue
            fields = line.split()
            self.senses[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]

    def sense(self, name: str) -> str | None:
        """Offset of the most frequent visible sense of `name`, of its singular, or of its last words; None without
        one.
        """
        words = name.lower().split()
        for start in range(len(words)):
            tail = " ".join(words[start:])
            for lemma in (
                tail,
                re.sub(r"s$", "", tail),
                re.sub(r"es$", "", tail),
                re.sub(r"ies$", "y", tail),
                re.sub(r"men$", "man", tail),
            ):
                for offset in self.senses.get(lemma, []):
                    if self.synsets[offset][0] in PHYSICAL:
                        return offset
        return None

    def relatives(self, name: str) -> tuple[list[str], list[str]]:
        """`name` -> (synonyms, first lemmas of up to three hypernyms, nearest first)."""
        offset = self.sense(name)
        if offset is None:
            return [], []
        synonyms = self.synsets[offset][1]
        chain: list[str] = []
        while self.synsets[offset][2] and len(chain) < 3:
            offset = self.synsets[offset][2][0]
            lemma = self.synsets[offset][1][0]
            if lemma in TOO_GENERAL:
                break
            chain.append(lemma)
        return synonyms, chain

    def nouns(self) -> list[str]:
        """Every lemma with a visible sense. Names of single persons and places stay out."""
        names = set()
        for lexfile, lemmas, _ in self.synsets.values():
            if lexfile in PHYSICAL:
                proper = lexfile in (15, 17, 18)
                names.update(lemma for lemma in lemmas if not (proper and lemma[:1].isupper()) and len(lemma) > 1)
        return sorted(names)


def read_vocabulary(path: Path) -> list[list[str]]:
    """`id:name,synonym,...` lines -> synonyms per class, in the file's order; explanations in brackets are dropped.

    For the 133 classes of COCO panoptic this is the order of ascending category ids.
    """
    classes = []
    for line in path.read_text().splitlines():
        names = [re.sub(r"\s*\(.*?\)?$", "", name).strip() for name in line.split(":", 1)[1].split(",")]
        names = [name for name in names if name and name != "invalid_class_id"]
        if names:
            classes.append(names)
    return classes


def imagenet_names(path: Path) -> list[list[str]]:
    """1,000 classes, synonyms each (the file's first line, `background`, is left out)."""
    return [[name.strip() for name in line.split(",")] for line in path.read_text().splitlines()[1:]]
