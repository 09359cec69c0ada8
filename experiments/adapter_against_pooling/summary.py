"""The results of all seeds as tables: mean and standard deviation."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

COLUMNS = ("all", "seen", "unseen", "texture", "color", "glyph", "texture unseen", "color unseen", "glyph unseen")


def summary(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown. Shares in percent: the mean over the seeds, and the standard deviation where there are two or more."""
    first = found[0]
    seeds = ", ".join(str(result["seed"]) for result in found)
    lines = [
        f"Seeds {seeds}; {first['masks']} ground-truth masks; 144 names. Mean over the seeds +- standard deviation.",
        "",
    ]
    lines += ["## CLIP on whole images", ""]
    lines += _table({"one thing an image": [result["images"]["one thing an image"] for result in found]})
    lines += ["", f"Own caption among 500: {_cell([result['images']['retrieval@1 of 500'] for result in found])}", ""]
    lines += ["## Masks", ""]
    lines += _table({name: [result["names"][name] for result in found] for name in first["names"]})
    lines += [
        "",
        "## Differences within a seed: all, seen, unseen",
        "",
        "| | all | seen | unseen |",
        "|---|---|---|---|",
    ]
    for one, other in (
        ("mask-adapter", "mask pooling"),
        ("mask-adapter", "blind adapter"),
        ("mask-adapter", "residual MLP"),
        ("mask-adapter", "one map"),
        ("mask-adapter", "mask-adapter, maps of another image"),
        ("mask-adapter, both stages", "mask-adapter"),
        ("mask-adapter, both stages, imprecise masks", "mask-adapter, imprecise masks"),
    ):
        columns = [_cell([r["names"][one][part] - r["names"][other][part] for r in found]) for part in COLUMNS[:3]]
        lines.append(f"| {one} minus {other} | {' | '.join(columns)} |")
    lines += ["", "## Where the maps lie", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell([r['maps'][name] for r in found], name)} |" for name in first["maps"]]
    lines += ["", "## Minutes of processor time", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {spent:.0f} |" for result in found for name, spent in result["minutes"].items()]
    return "\n".join(lines) + "\n"


def _table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, results in rows.items():
        lines.append(f"| {name} | " + " | ".join(_cell([r[column] for r in results]) for column in COLUMNS) + " |")
    return lines


def _cell(values: Sequence[float], name: str = "") -> str:
    factor = 1 if name.endswith("cells") else 100
    deviation = f" ± {factor * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{factor * mean(values):.1f}{deviation}"
