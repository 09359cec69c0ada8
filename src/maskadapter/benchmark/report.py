"""A benchmark's numbers as Markdown."""

from collections.abc import Mapping
from typing import Any

from maskadapter.benchmark.stages import PARTS

_NAMES = {
    "adapter_speedup_exact": "adapter, exact: times faster than direct",
    "adapter_speedup_default": "adapter, default: times faster than direct",
    "segment_speedup_default": "all, default: times faster than direct",
    "agreement_default": "pixels that get the same class, default",
    "images_per_second_default": "images a second, default",
    "peak_memory_gb_default": "most memory beyond the weights, default, GB",
}
_FACTS = ("model", "proposals", "size", "classes", "device", "processor", "threads", "precision", "python")


def table(report: Mapping[str, Any]) -> str:
    """What was measured, seconds by part, and what it was measured on. report: as ``benchmark`` returns it."""
    computations = list(next(iter(report["seconds"].values())))
    lines = ["| | |", "|---|---:|"]
    lines += [f"| {name} | {report[key]:.4g} |" for key, name in _NAMES.items()]
    lines += ["", f"| seconds an image | {' | '.join(computations)} |", "|---" + "|---:" * len(computations) + "|"]
    for part in (*PARTS, "all"):
        seconds = report["seconds"][part]
        lines.append(f"| {part} | {' | '.join(f'{seconds[computation]:.3g}' for computation in computations)} |")
    lines += ["", f"| 10^9 multiplications, first image | {' | '.join(computations)} |"]
    lines.append("|---" + "|---:" * len(computations) + "|")
    for part, numbers in report["multiplications"].items():
        lines.append(f"| {part} | {' | '.join(f'{numbers[way] / 1e9:.3g}' for way in computations)} |")
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {fact} | {report[fact]} |" for fact in _FACTS]
    lines.append(f"| libraries | {', '.join(f'{name} {number}' for name, number in report['libraries'].items())} |")
    return "\n".join(lines) + "\n"
