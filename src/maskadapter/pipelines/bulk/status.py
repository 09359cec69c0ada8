"""How far a plan is."""

from dataclasses import dataclass
from pathlib import Path

from maskadapter.pipelines.bulk.part_file import part_counts, part_rows
from maskadapter.pipelines.bulk.plan import Plan, read_plan

_MOST_SHOWN = 5


@dataclass(frozen=True)
class BulkStatus:
    """plan: what shall be done. done: the shards that are. images: in those, the ones that failed among them. failed:
    rows with an error. errors: the first of them."""

    plan: Plan
    done: tuple[int, ...]
    images: int
    failed: int
    errors: tuple[str, ...]


def shard_status(folder: str | Path) -> BulkStatus:
    """Say how far the plan in a folder is, from the parts that are there. Raises MaskAdapterError: no plan, a damaged
    part, a part that was made with other settings."""
    plan = read_plan(folder)
    done = tuple(shard for shard in range(plan.shards) if plan.part(shard).exists())
    images = failed = 0
    errors: list[str] = []
    for shard in done:
        count, wrong = part_counts(plan.part(shard), plan.settings_hash)
        images, failed = images + count, failed + wrong
        if wrong and len(errors) < _MOST_SHOWN:
            rows = part_rows(plan.part(shard), plan.settings_hash, ["error"])
            errors += [row["error"] for row in rows if row["error"] is not None]
    return BulkStatus(plan, done, images, failed, tuple(errors[:_MOST_SHOWN]))
