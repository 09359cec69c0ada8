"""Reproduce a table of the paper: evaluate what it needs, and write the numbers beside the published ones."""

from collections.abc import Mapping
from pathlib import Path

from maskadapter.errors import MaskAdapterError
from maskadapter.paper.table import table_named
from maskadapter.paper.tables.own_data import with_own
from maskadapter.paper.tables.report import TableReport, holds_numbers
from maskadapter.paper.tables.requirements import Given, weight_names
from maskadapter.paper.tables.row_evaluation import RunOptions
from maskadapter.paper.tables.table_run import TableRun
from maskadapter.system.atomic_files import readable
from maskadapter.system.paths import check_folder, user_path


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
) -> TableReport:
    """Evaluate the rows of a table and write ``<table>.json`` and ``<table>.md`` into the folder ``output``.

    table: ``table1`` to ``table11``. root: folder of the data sets.
    output: ``reproduce/<table>`` without it. Each evaluation has a folder in it, ``<row>/<data set>``, and is continued
        by the same call.
    model, data: a model or a data set (known, or a YAML file) in place of the paper's, see ``with_own``.
    split: which images of the data sets, ``"val"`` or ``"train"``. limit: only the first so many images.
    partition: which classes count as seen, as ``evaluate`` takes it, instead of the table's own.
    runs: folder of your trainings, with ``<recipe's name>/model.safetensors``. weights: files by name, see
        ``weight_names``. download: whether missing weights may be downloaded. device: where to compute.

    A row whose weights or data are missing is left empty, with the reason and the command that brings them. Images are
    evaluated by this process alone. Returns the report. Raises MaskAdapterError, one line, for a mistake in the
    arguments, and where no row could be run (the table is written nevertheless, but does not replace one that has
    numbers); KeyboardInterrupt with a message of what is done.
    """
    original = table_named(table)
    made = with_own(original, None if model is None else str(model), None if data is None else str(data))
    files = {name: user_path(path, MaskAdapterError) for name, path in (weights or {}).items()}
    for name, path in files.items():
        if name not in weight_names(made):
            choice = ", ".join(sorted(weight_names(made))) or "none; leave it out"
            raise MaskAdapterError(f"{made.name} has no weights called '{name}': choose from {choice}")
        if not path.is_file():
            raise MaskAdapterError(f"there is no file {path}, which is given as the weights of {name}")
    if device != "cpu":  # the only one that is always there
        from maskadapter.hub import check_device

        check_device(device)
    folder = check_folder(Path("reproduce") / original.name if output is None else output)
    given = Given(user_path(runs, MaskAdapterError), files, download)
    options = RunOptions(given, folder, root, split, str(partition or made.partition), limit, device)
    images = {} if limit is None else {"images": f"the first {limit:,} at most"}
    facts = {"split": split, **images, "device": device}
    report = TableReport(made, original, TableRun(made, original, options).run(), facts)
    written, reasons = folder / f"{original.name}.md", list(report.reasons)
    more = f"; all {len(reasons)} reasons are in {written}" if len(reasons) > 1 else ""
    if report.measured or not holds_numbers(written.with_suffix(".json")):
        report.save(folder)
    else:
        more = f"; {written} still has the numbers of an earlier run"
    if report.measured:
        return report
    raise MaskAdapterError(readable(f"no row of {original.name} could be run: {reasons[0]}{more}"))
