"""The card of a published model: what it is, what it was trained on, and how it is loaded."""

import json
from collections.abc import Mapping, Sequence

import yaml

from maskadapter.models import Architecture, OpenVocabularySegmenter
from maskadapter.system.markdown_table import markdown_table
from maskadapter.vocabulary import Vocabulary

_MOST_CLASSES = 40  # names in the table


def model_card(
    repository: str,
    segmenter: OpenVocabularySegmenter,
    architecture: Architecture,
    facts: Mapping[str, str],
    sha256: str,
) -> str:
    """Return a card as Markdown, with the hub's YAML above it. repository: ``ORG/NAME``. facts: what the file of
    weights states, ``license`` among them. sha256: of that file."""
    inference = segmenter.inference
    rows = [
        ("model", architecture.name),
        ("pooler", architecture.pooler),
        ("mask generator", "yes" if architecture.generator else "none: give masks, or a mask source"),
        ("classes trained on (seen)", _seen(inference.seen_in)),
        ("classes learned from images", _listed(inference.own_classes) or "none"),
        ("ensemble", f"alpha {inference.alpha:g} for seen classes, beta {inference.beta:g} for all others"),
        ("parameters", f"{sum(parameter.numel() for parameter in segmenter.parameters()) / 1e6:.1f} million"),
        *((key.replace("_", " "), _text(facts[key])) for key in ("data", "teachers", "converted_from") if key in facts),
        ("license of the weights", facts["license"]),
        ("sha256 of the weights", sha256),
    ]
    tags = ["open-vocabulary-segmentation", "mask-classification", "mask-adapter"]
    hub = {"license": facts["license"].lower(), "library_name": "maskadapter", "pipeline_tag": "image-segmentation"}
    use = "result = model.segment('photo.jpg', 'cat, sofa|couch, wall')"
    if not architecture.generator:
        use = "result = model.classify('photo.jpg', masks, 'cat, sofa|couch, wall')"
    parts = [
        f"---\n{yaml.safe_dump({**hub, 'tags': tags}, sort_keys=False)}---",
        f"# {repository.partition('/')[2]}",
        "A model for open-vocabulary segmentation with Mask-Adapter ([paper](https://arxiv.org/abs/2412.04533)): it "
        "segments an image into the classes that you name. The Python package `maskadapter` loads it; it has no "
        "code of its own.",
        f'```python\nimport maskadapter as ma\n\nmodel = ma.load("hf:{repository}")\n{use}\nresult.save("out/")\n```',
        "\n".join(markdown_table(("fact", "value"), rows)),
    ]
    if "trained_by" in facts:
        parts.append(f"The recipe that trained it:\n\n```yaml\n{facts['trained_by'].strip()}\n```")
    return "\n\n".join(parts) + "\n"


def _seen(seen_in: str | Sequence[str]) -> str:
    if not seen_in:
        return "none"
    names = Vocabulary.of(seen_in).names
    listed = f"{len(names):,}: {_listed(names)}"
    return f"{seen_in}, {listed}" if isinstance(seen_in, str) else listed


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_CLASSES:,} more" if len(names) > _MOST_CLASSES else ""
    return ", ".join(names[:_MOST_CLASSES]) + more


def _text(fact: str) -> str:
    """A fact in one line; some files have lists as JSON."""
    try:
        value = json.loads(fact)
    except ValueError:
        value = fact
    return " ".join(("; ".join(map(str, value)) if isinstance(value, list) else fact).split())
