"""Opening a data set by its name, or by the YAML file that describes it."""

from pathlib import Path

from maskadapter.data.catalog import KnownSet, category_ids, known_set, label_values
from maskadapter.data.dataset import Dataset, Task
from maskadapter.data.formats.ade20k_segments import Ade20kSegments
from maskadapter.data.formats.coco_instances import CocoInstances
from maskadapter.data.formats.coco_panoptic import CocoPanoptic
from maskadapter.data.formats.custom import open_custom
from maskadapter.data.formats.semantic_folder import SemanticFolder
from maskadapter.data.layout import Gap, SplitFiles, own_folder
from maskadapter.errors import DatasetError
from maskadapter.vocabulary import Vocabulary


def open_dataset(
    name_or_path: str | Path, root: str | Path | None = None, split: str = "val", task: Task | None = None
) -> Dataset:
    """Open a data set for reading.

    A known data set may have fewer images than the official one; ``prepare`` checks the counts.

    name_or_path: a known name such as "ade20k-150" (see ``maskadapter.data.catalog.KNOWN``), or a .yaml file that
        describes a data set of your own (see ``maskadapter.data.formats.custom``).
    root: folder of a known data set, or the folder that contains it. split: "train" or "val".
    task: kind of ground truth; None takes the data set's own. ADE20K-150 has "semantic" (its own), "panoptic" and
        "instance".

    Raises DatasetError: unknown name, split or task; missing files, with the command that fetches them.
    """
    name = str(name_or_path)
    if name.endswith((".yaml", ".yml")):
        dataset = open_custom(Path(name), split)
        _check_task(name, task, (dataset.task,))
        return dataset
    known = known_set(name)
    if root is None:
        raise DatasetError(f"{name} needs the folder that holds it: give it as root")
    if split not in known.splits:
        raise DatasetError(f'{name} has no split "{split}"; there are {", ".join(known.splits)}')
    _check_task(name, task, ("semantic", "panoptic", "instance") if known.instances else (known.task,))
    return _open(known, Path(root), split, task or known.task)


def _check_task(name: str, task: Task | None, tasks: tuple[Task, ...]) -> None:
    if task is not None and task not in tasks:
        raise DatasetError(f"{name} has no {task} ground truth; it has {' and '.join(tasks)}")


def folder_of(known: KnownSet, root: Path) -> Path:
    """Return the own folder of a known data set; it need not exist."""
    named = [path for split in known.splits.values() for path in (split.images, split.labels, split.listing)]
    return own_folder(root, known.folder, [*known.shared, *(path for path in named if path not in ("", "."))])


def _open(known: KnownSet, root: Path, split: str, task: Task) -> Dataset:
    files = SplitFiles(folder_of(known, root), known.splits[split])
    instances = f"{known.instances}/{Path(files.split.labels).name}"
    absent = files.absent()
    if task != known.task and not (files.folder / instances).is_dir():
        absent.append(Gap(instances, f"{instances} is missing"))
    if absent:
        raise DatasetError(
            f"no {known.name} ({split}) in {files.folder}: {absent[0].text}; to fetch it, run: "
            f"maskadapter prepare {known.name} --root {root}"
        )
    vocabulary = Vocabulary.builtin(known.name)
    if task == "semantic":
        pairs = _complete_pairs(files, known, root)
        return SemanticFolder(known.name, vocabulary, pairs, label_values(known.name), files.images)
    if known.instances:
        pairs = _complete_pairs(files, known, root)
        return Ade20kSegments(known.name, vocabulary, pairs, files.folder / instances, task)
    classes = category_ids(known.name)
    if task == "instance":
        return CocoInstances(known.name, vocabulary, files.listing, files.images, classes)
    return CocoPanoptic(known.name, vocabulary, files.listing, files.images, files.labels, classes)


def _complete_pairs(files: SplitFiles, known: KnownSet, root: Path) -> list[tuple[Path, Path]]:
    """Return the image and label files after a check that every image has its label."""
    held = {path.name for path in files.labels.iterdir()}
    missing = [(image, label) for image, label in files.pairs if label.name not in held]
    if not files.pairs or missing:
        reason = f"{missing[0][0].name} has no label in {files.labels}" if missing else "there are no images"
        more = f", and {len(missing) - 1:,} other images have none" if len(missing) > 1 else ""
        raise DatasetError(
            f"{known.name} in {files.folder} is incomplete: {reason}{more}; to complete it, run: "
            f"maskadapter prepare {known.name} --root {root}"
        )
    return files.pairs
