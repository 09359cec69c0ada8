"""Reproduce the paper's tables: evaluate what they need, and write the numbers beside the published ones."""

from collections.abc import Mapping
from pathlib import Path

from maskadapter.data import KNOWN
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation import Partition
from maskadapter.models import PrecisionName
from maskadapter.paper.table import TABLES, Table, table_named
from maskadapter.paper.tables.evaluation_run import RunOptions
from maskadapter.paper.tables.markdown import page_text, report_text, write_text
from maskadapter.paper.tables.own_data import with_own
from maskadapter.paper.tables.report import TableReport, holds_numbers
from maskadapter.paper.tables.requirements import Given, weight_names
from maskadapter.paper.tables.table_run import TableRun
from maskadapter.system.atomic_files import readable
from maskadapter.system.paths import check_folder, user_path
from maskadapter.vocabulary import Vocabulary

ALL = "all"
"""Every table, and one page of them."""


def reproduce(
    table: str,
    root: str | Path | None = None,
    output: str | Path | None = None,
    *,
    model: str | Path | None = None,
    data: str | Path | None = None,
    split: str = "val",
    partition: str | Path | None = None,
    limit: int | None = None,
    runs: str | Path = "runs",
    weights: Mapping[str, str | Path] | None = None,
    download: bool = False,
    device: str = "cpu",
    precision: PrecisionName | None = None,
) -> list[TableReport]:
    """Evaluate the rows of a table and write ``<table>.json`` and ``<table>.md`` into the folder ``output``.

    table: ``table1`` to ``table11``, or ``all``, which also writes ``all.md``. root: folder of the data sets.
    output: ``reproduce`` without it. Its folder ``evaluations`` serves all tables and is continued by the same call.
    model, data: a model or a data set (known, or a YAML file) in place of the paper's, see ``with_own``.
    split: which images of the data sets, ``"val"`` or ``"train"``. limit: only the first so many images.
    partition: which classes count as seen, as ``evaluate`` takes it, instead of the table's own.
    runs: folder of your trainings, with ``<recipe's name>/model.safetensors``. weights: files by name, see
        ``weight_names``. download: whether missing weights may be downloaded. device: where to compute.
    precision: of all models, as ``load`` takes it; None for fp32, as in the paper.

    A row whose weights or data are missing is left empty, with the reason and the command that brings them. Images are
    evaluated by this process alone. Returns a report for each table. Raises MaskAdapterError, one line, for a mistake
    in the arguments, and where no row could be run (the tables are written nevertheless, but do not replace those that
    have numbers); KeyboardInterrupt with a message of what is done.
    """
    table = str(table)  # of which some are numbers
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise MaskAdapterError(f"limit {limit!r} is not a number of images: give 1 or more, or leave it out")
    originals = list(TABLES.values()) if table == ALL else [table_named(table)]
    own = (None if model is None else str(model), None if data is None else str(data))
    made = [with_own(original, *own) for original in originals]
    files = {name: user_path(path, MaskAdapterError) for name, path in (weights or {}).items()}
    _check_files(files, table if table == ALL else made[0].name, made)
    if device != "cpu":  # the only one that is always there
        from maskadapter.hub import check_device

        check_device(device)
    chosen = None if partition is None else str(partition)
    _check_partition(chosen, made)
    folder = check_folder(Path("reproduce" if output is None else output))
    given = Given(root, user_path(runs, MaskAdapterError), files, download)
    options, page = RunOptions(given, folder, split, chosen, limit, device, precision), folder / f"{ALL}.md"
    images = {} if limit is None else {"images": f"the first {limit:,} at most"}
    reports, kept = [], ""
    for original, one in zip(originals, made, strict=True):
        partition_facts = {"partition": chosen or one.partition} if one.partition else {}
        facts = {"split": split, **images, **partition_facts, "device": device, "precision": precision or "fp32"}
        report = TableReport(one, original, TableRun(one, original, options).run(), facts)
        path = folder / f"{one.name}.json"
        if report.measured or not holds_numbers(path):
            report.save(path)
            write_text(report_text(report), path.with_suffix(".md"))
        else:
            kept = f"; {path.with_suffix('.md')} still has the numbers of an earlier run"
        reports.append(report)
        if table == ALL and (not kept or any(report.measured for report in reports)):
            write_text(page_text(reports, originals[len(reports) :]), page)
    if not any(report.measured for report in reports):
        failed = [cell for report in reports for cell in report.cells.values() if cell.failed]
        tried = [reason for cell in failed for reason in cell.missing]
        reasons = dict.fromkeys([*tried, *(reason for report in reports for reason in report.reasons)])
        written = page if table == ALL else folder / f"{made[0].name}.md"
        more = f"; all {len(reasons)} reasons are in {written}" if len(reasons) > 1 else ""
        which = "any table" if table == ALL else made[0].name
        raise MaskAdapterError(readable(f"no row of {which} could be run: {next(iter(reasons))}{kept or more}"))
    return reports


def _check_partition(partition: str | None, tables: list[Table]) -> None:
    """Raise VocabularyError for a partition that a known data set does not have, before anything is evaluated."""
    columns = {column.dataset for one in tables for column in one.columns if column.metric.endswith("seen")}
    for name in columns & KNOWN.keys() if partition else ():
        Partition.of(str(partition), Vocabulary.builtin(name), trained_on="coco-panoptic")


def _check_files(files: Mapping[str, Path], what: str, tables: list[Table]) -> None:
    """Raise MaskAdapterError for weights under a name that no row takes, and for a file that does not exist."""
    names = set[str]().union(*map(weight_names, tables))
    for name, path in files.items():
        if name not in names:
            choice = ", ".join(sorted(names)) or "none; leave it out"
            raise MaskAdapterError(f"{what} has no weights called '{name}': choose from {choice}")
        if not path.is_file():
            raise MaskAdapterError(f"there is no file {path}, which is given as the weights of {name}")
