"""Opening a data set by its name, or by the YAML file that describes it."""

from pathlib import Path, PurePosixPath

from maskadapter.data.catalog import KnownSet, category_ids, known_set, label_values
from maskadapter.data.dataset import Dataset, Task
from maskadapter.data.formats.ade20k_segments import Ade20kSegments
from maskadapter.data.formats.coco_datasets import CocoInstances, CocoPanoptic
from maskadapter.data.formats.custom import open_custom, read_description
from maskadapter.data.formats.grand import GranD
from maskadapter.data.formats.image_label_pairs import no_label
from maskadapter.data.formats.semantic_folder import SemanticFolder
from maskadapter.data.layout import SplitFiles, missing_path
from maskadapter.errors import DatasetError
from maskadapter.system.paths import user_path
from maskadapter.vocabulary import Vocabulary


def open_dataset(
    name_or_path: str | Path, root: str | Path | None = None, split: str = "val", task: Task | None = None
) -> Dataset:
    """Open a data set; a known one may have fewer images than the official one: ``prepare`` checks the counts.

    name_or_path: a known name such as "ade20k-150" (see ``maskadapter.data.catalog.KNOWN``), or a .yaml file that
        describes a data set of your own (see ``maskadapter.data.formats.custom``).
    root: folder of a known data set, or the folder that contains it. split: "train" or "val".
    task: kind of ground truth; None takes its own. ADE20K-150 has "semantic" (its own), "panoptic" and "instance".

    Raises DatasetError: unknown name, split or task; missing files, with the command that fetches them.
    """
    name = str(name_or_path)
    if name.endswith((".yaml", ".yml")):
        dataset = open_custom(user_path(name, DatasetError), split)
        _check_task(name, task, (dataset.task,))
        return dataset
    known = known_set(name)
    if root is None:
        raise DatasetError(f"{name} needs the folder that holds it: give it as root")
    check_split(known, split)
    _check_task(name, task, ("semantic", "panoptic", "instance") if known.instances else (known.task,))
    return _open(known, user_path(root, DatasetError), split, task or known.task)


def has_split(name_or_path: str | Path, split: str) -> bool:
    """Whether a data set describes a split; its files need not be there. Raises DatasetError as ``open_dataset``."""
    name = str(name_or_path)
    if name.endswith((".yaml", ".yml")):
        return getattr(read_description(user_path(name, DatasetError)), split) is not None
    return split in known_set(name).splits


def check_split(known: KnownSet, split: str) -> None:
    """Raise DatasetError for a split that a known data set does not have."""
    if split not in known.splits:
        raise DatasetError(f'{known.name} has no split "{split}"; there are {", ".join(known.splits)}')


def _check_task(name: str, task: Task | None, tasks: tuple[Task, ...]) -> None:
    if task is not None and task not in tasks:
        raise DatasetError(f"{name} has no {task} ground truth; it has {' and '.join(tasks)}")


def folder_of(known: KnownSet, root: Path) -> Path:
    """Find the own folder of a known data set, which need not exist.

    It is ``root / known.folder``, or ``root`` where that is this folder or inside it, recognized by its files.
    """
    parts = PurePosixPath(known.folder).parts
    named = [path for split in known.splits.values() for path in (split.images, split.labels, split.listing)]
    inside = [*known.shared, *(path for path in named if path not in ("", "."))]
    candidates = [root.joinpath(*parts[depth:]) for depth in range(len(parts) + 1)]
    numbers = [sum((place / path).exists() for path in inside) for place in candidates]
    if any(numbers):
        return candidates[numbers.index(max(numbers))]
    name = root.resolve().name
    return root.joinpath(*parts[parts.index(name) + 1 :]) if name in parts else candidates[0]


def _open(known: KnownSet, root: Path, split: str, task: Task) -> Dataset:
    files = SplitFiles(folder_of(known, root), known.splits[split])
    instances = f"{known.instances}/{Path(files.split.labels).name}"
    absent = files.absent()
    if task != known.task and not (files.folder / instances).is_dir():
        absent.append(missing_path(instances))
    command = f"maskadapter prepare {known.name} --root {root}"
    if absent:
        where = f"no {known.name} ({split}) in {files.folder}"
        raise DatasetError(f"{where}: {absent[0].text}; to fetch it, run: {command}")
    if known.free_text:
        return GranD(known.name, files.images, files.labels)
    vocabulary = Vocabulary.builtin(known.name)
    if known.task != "semantic":
        classes = category_ids(known.name)
        if task == "instance":
            return CocoInstances(known.name, vocabulary, files.listing, files.images, classes, published=True)
        return CocoPanoptic(known.name, vocabulary, files.listing, files.images, files.labels, classes, published=True)
    held = {path.name for path in files.labels.iterdir()}
    pairs = files.pairs()
    unlabeled = [image.name for image, label in pairs if label.name not in held]
    if unlabeled or not pairs:
        reason = no_label(unlabeled, files.labels) if unlabeled else "there are no images"
        raise DatasetError(f"{known.name} in {files.folder} is incomplete: {reason}; to complete it, run: {command}")
    if task == "semantic":
        return SemanticFolder(known.name, vocabulary, pairs, label_values(known.name), files.images)
    return Ade20kSegments(known.name, vocabulary, pairs, files.folder / instances, task)
