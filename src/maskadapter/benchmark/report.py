"""Write the numbers of a benchmark as Markdown tables."""

from collections.abc import Mapping
from typing import Any

from maskadapter.benchmark.stages import STAGES
from maskadapter.system.markdown_table import markdown_table

_NAMES = {
    "adapter_speedup_exact": "adapter, exact: times faster than the reference",
    "adapter_speedup_pruned": "adapter, pruned: times faster than the reference",
    "segment_speedup_pruned": "all, pruned: times faster than the reference",
    "agreement_pruned": "pixels that get the same class, pruned",
    "images_per_second_pruned": "images a second, pruned",
    "peak_memory_gb_exact": "most memory beyond the weights, exact, GB",
    "peak_memory_gb_pruned": "most memory beyond the weights, pruned, GB",
}
_FACTS = ("model", "proposals", "size", "classes", "device", "processor", "threads", "precision", "python")


def benchmark_tables(report: Mapping[str, Any]) -> str:
    """Return tables of what was measured and on what, for a report as ``benchmark`` returns it."""
    ways = list(report["seconds"]["all"])
    numbers = [[name, f"{report[key]:.4g}"] for key, name in _NAMES.items()]
    seconds = [[stage, *(f"{report['seconds'][stage][way]:.3g}" for way in ways)] for stage in (*STAGES, "all")]
    products = [
        [stage, *(f"{counts[way] / 1e9:.3g}" for way in ways)] for stage, counts in report["multiplications"].items()
    ]
    libraries = ", ".join(f"{name} {number}" for name, number in report["libraries"].items())
    tables = [
        markdown_table(["", ""], numbers, "lr"),
        markdown_table(["seconds an image", *ways], seconds, "l" + "r" * len(ways)),
        markdown_table(["10^9 multiplications, first image", *ways], products, "l" + "r" * len(ways)),
    ]
    if rows := [[name, f"{value:.3g}"] for name, value in report["second class list"].items()]:
        tables.append(markdown_table(["a second class list", "seconds"], rows, "lr"))
    facts = [[fact, str(report[fact])] for fact in _FACTS]
    tables.append(markdown_table(["", ""], [*facts, ["libraries", libraries]], "ll"))
    return "\n\n".join("\n".join(table) for table in tables) + "\n"
