"""Compute the shards of a plan, one after another, in one process with one thread."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from maskadapter.errors import ImageError, MaskAdapterError, MaskError
from maskadapter.hub import load
from maskadapter.io import InputImage, encode_mask, read_stream
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.pipelines.bulk.image_bytes import ImageBytes
from maskadapter.pipelines.bulk.part_file import write_part
from maskadapter.pipelines.bulk.plan import Plan, read_plan
from maskadapter.pipelines.bulk.planned_image import PlannedImage
from maskadapter.pipelines.bulk.shard_report import ShardReport
from maskadapter.pipelines.encoded_ahead import encoded_ahead
from maskadapter.results import Segmentation
from maskadapter.system.read_ahead import read_ahead
from maskadapter.types import EncodedImage

LOCKS = "locks"


class ShardWorker:
    """Holds the model of a plan and computes shards with it. PyTorch has one thread from then on: the results of
    several threads may differ in their last bits."""

    def __init__(
        self, folder: str | Path, device: str = "cpu", load: Callable[..., OpenVocabularySegmenter] = load
    ) -> None:
        """folder: of the plan. load: makes the segmenter, as ``maskadapter.load``. Raises as ``read_plan`` and that."""
        torch.set_num_threads(1)
        self._plan = read_plan(folder)
        self._device = device
        prune = bool(self._plan.settings["prune_proposals"])
        self._segmenter = load(self._plan.source, device=device, prune_proposals=prune)
        self._vocabulary = self._segmenter.encode_text(self._plan.vocabulary)

    def work(self, shard: int) -> ShardReport:
        """Compute a shard and write its part, unless that exists or another process is at it.

        An image that fails is a row with its error. Raises MaskAdapterError for what would meet every image."""
        started, part = time.perf_counter(), self._plan.part(shard)
        if part.exists():
            return ShardReport(shard, "before", self._plan.size_of(shard))
        lock = FileLock(self._plan.folder / LOCKS / f"{shard:06d}.lock", timeout=0)
        # On a file system without locks, two that compute one shard write the same bytes.
        with suppress(NotImplementedError, OSError):
            (self._plan.folder / LOCKS).mkdir(exist_ok=True)
            try:
                lock.acquire()  # the system ends it with its process
            except Timeout:
                return ShardReport(shard, "busy")
        try:
            if part.exists():
                return ShardReport(shard, "before", self._plan.size_of(shard))
            count, failed = write_part(part, self._rows(self._plan, shard), self._plan.settings_hash)
        finally:
            lock.release()
        with suppress(OSError):  # whoever waits for it, or makes it anew, finds the part
            Path(lock.lock_file).unlink()
        return ShardReport(shard, "done", count, failed, time.perf_counter() - started)

    def _rows(self, plan: Plan, shard: int) -> Iterator[dict[str, Any]]:
        model, todo = self._segmenter, ((image, _row(image)) for image in plan.images(shard))
        with (
            closing(ImageBytes()) as source,
            closing(read_ahead(partial(_read, source), todo, model.images_together)) as ahead,
        ):
            for (image, row), reading in encoded_ahead(model, ahead):
                try:
                    row |= self._result(reading.result()[1])
                except (ImageError, MaskError) as error:
                    row["error"] = str(error)
                except MaskAdapterError:
                    raise
                except Exception as error:
                    row["error"] = f"{image.path}: {type(error).__name__}: {error}"
                    torch.zeros(1, device=self._device).cpu()  # raises where a GPU can compute nothing any more
                if row["error"]:  # the same at each run: without addresses in memory
                    row["error"] = " ".join(re.sub(r"\b0x[0-9a-f]+", "0x...", row["error"]).split())
                yield row

    def _result(self, image: InputImage | EncodedImage) -> dict[str, Any]:
        found = self._segmenter.segment(image, self._vocabulary, background=self._plan.background)
        return {"height": found.size[0], "width": found.size[1], "segments": _segments(found)}


def _row(image: PlannedImage) -> dict[str, Any]:
    return {"path": image.path, "name": image.name, "error": None}


def _read(source: ImageBytes, item: tuple[PlannedImage, dict[str, Any]]) -> tuple[None, InputImage]:
    """Read and decode an image, and note in its row what its file is."""
    image, row = item
    content = source.read(image)
    row |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return None, InputImage(read_stream(BytesIO(content), image.path), None)


def _segments(result: Segmentation) -> list[dict[str, Any]]:
    return [
        {
            "label": one.label,
            "class": one.class_name,
            "score": one.score,
            "area": one.area,
            "box": list(one.box),
            "counts": encode_mask(one.mask)["counts"],
            "best": [{"class": name, "probability": probability} for name, probability in one.top(5)],
        }
        for one in result
    ]
