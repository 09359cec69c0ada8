"""What ``evaluate`` needs of a predictor: the function, what its predictions depend on, and what may be compared."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from maskadapter.data import Dataset
from maskadapter.evaluation import Metric, PanopticImages, read_predictions
from maskadapter.hub.zoo import sha256_of


@dataclass(frozen=True)
class Predictor:
    """Arguments of ``evaluate`` for one model or one set of predictions.

    predict, settings, metrics: as ``evaluate`` takes them. trained_on: the class list that the model was trained on, as
    ``Partition.of`` takes it; None where it is unknown. published_as: name and pooler of the published model whose
    figures these predictions may be compared with; None where switches or other masks make them another model's.
    """

    predict: Any
    settings: Mapping[str, Any]
    metrics: tuple[Metric, ...] | None = None
    trained_on: str | tuple[str, ...] | None = None
    published_as: tuple[str, str] | None = None


def file_predictor(path: str | Path, dataset: Dataset, annotations: str | Path | None = None) -> Predictor:
    """Return the predictions that another program wrote to files, see ``read_predictions``."""
    predictions = read_predictions(path, dataset.vocabulary, annotations)
    path = Path(path).resolve()
    settings: dict[str, Any] = {"predictions": path.name}
    if path.is_dir():
        settings |= folder_facts(path, path.rglob("*.png"))
    else:
        settings["sha256"] = sha256_of(path)
        if isinstance(predictions, PanopticImages):
            settings |= folder_facts(predictions.folder.resolve(), (file.resolve() for file in predictions.images))
        if annotations is not None:
            settings["annotations"] = f"{Path(annotations).name}, sha256 {sha256_of(Path(annotations))}"
    return Predictor(predictions, settings)


def folder_facts(folder: Path, files: Iterable[Path]) -> dict[str, Any]:
    """Identify a folder's files by their names and sizes, without reading them."""
    listed = sorted((os.path.relpath(file, folder), file.stat().st_size) for file in files if file.is_file())
    return {"files": len(listed), "names and sizes": sha256(repr(listed).encode()).hexdigest()[:16]}
