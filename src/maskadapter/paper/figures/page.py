"""Make one figure: what it compares, its style, its size, and its file."""

import logging
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, TypeVar

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.extras import load_extra
from maskadapter.system.paths import user_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

COLUMN, TEXT = 3.25, 6.875
"""Inches of a column and of both together. Source: CVPR's author kit."""
DPI = 300
"""Dots per inch of a PNG, and of the images inside of a PDF or SVG."""
ENDINGS = (".png", ".pdf", ".svg")
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""For lines and bars, distinct with any color vision. Source: Okabe and Ito 2008, without the yellow."""

_STYLE: Any = {
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), 8),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 7),
    **dict.fromkeys(("legend.frameon", "axes.spines.top", "axes.spines.right"), False),
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "text.parse_math": False,  # a class may be called "$"
    "pdf.fonttype": 42,  # journals refuse the default's
    "svg.hashsalt": "maskadapter",
}
# The same figure is the same file, whenever it is made.
_UNDATED: dict[str, dict[str, None]] = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
_NO_LETTER = r"Glyph \d+ .* missing from"

Content = TypeVar("Content")


def check_output(output: str | Path, needed: str = "matplotlib") -> Path:
    """Check before any long work that a figure can be written to ``output``, and return it as a path.

    needed: a module beside matplotlib. Raises MaskAdapterError: an ending that is not among ``ENDINGS``, a folder, the
    extra ``plot`` not installed.
    """
    path = user_path(output, MaskAdapterError)
    if path.suffix.lower() not in ENDINGS:
        raise MaskAdapterError(f"output is {path}; a file that ends in {', '.join(ENDINGS)} is needed")
    if path.is_dir():
        raise MaskAdapterError(f"output is the folder {path}; the name of a file is needed")
    for module in ("matplotlib", needed):
        load_extra(module, "plot")
    return path


def check_no_input(output: Path, inputs: Iterable[Any]) -> None:
    """Raise MaskAdapterError where a figure would overwrite a file that it is made from. inputs: those that are paths
    count."""
    for one in inputs:
        file = Path(os.path.expanduser(one)) if isinstance(one, str | Path) else output
        if file is not output and output.is_file() and file.is_file() and output.samefile(file):
            raise MaskAdapterError(f"output is {output}, from which the figure is made: give another name")


def labeled(
    sources: Sequence[str | Path], read: Callable[[str], tuple[str, Content]], most: int = len(COLORS)
) -> Mapping[str, Content]:
    """Return by label what ``read`` makes of each source: the label that it has where none is given, and the content.

    most: how many fit into the figure. Raises MaskAdapterError for no source, too many, or two with the same label.
    """
    if not 1 <= len(sources) <= most:
        raise MaskAdapterError(f"{len(sources)} were given to be compared; 1 to {most} fit into a figure")
    found: dict[str, Content] = {}
    for source in sources:
        label, _, rest = str(source).partition("=")
        if not label or not rest or Path(source).exists():  # a path may have the sign in it
            label, rest = "", str(source)
        own, content = read(str(user_path(rest, MaskAdapterError)))
        if (label or own) in found:
            raise MaskAdapterError(f"two have the label '{label or own}': give each its own, LABEL={rest}")
        found[label or own] = content
    return found


def legend_shape(
    labels: Sequence[str], width: float, most: int = 4, handle: float = 2.6
) -> tuple[list[str], int, float]:
    """Return the wrapped labels of a legend, how many columns fit into ``width`` inches, ``most`` at most, its height.

    handle: the length of a line or box beside a label, times the size of the letters. The height is in inches.
    """
    letter, beside = 0.054, 0.25 + 0.097 * handle  # inches, of seven points
    texts = [fill(label, int((width - beside) / (1.15 * letter))) for label in labels]
    entry = beside + letter * max(len(line) for text in texts for line in text.split("\n"))
    columns = int(max(1, min(most, len(labels), width / entry)))
    lines = sum(1 + text.count("\n") for text in texts) if columns == 1 else -(-len(labels) // columns)
    return texts, columns, 0.1 + 0.15 * lines


@contextmanager
def page(output: Path, width: float, height: float, layout: str | None = "constrained") -> Iterator["Figure"]:
    """Yield an empty figure of ``width`` x ``height`` inches, and write it when the block ends without an error.

    layout: matplotlib's; None for axes that the caller positions. No global state of matplotlib is changed.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)  # type: ignore[arg-type]
        FigureCanvasAgg(figure)
        figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]  # a notebook shows it
        yield figure
        ending = output.suffix.lower()
        with write_atomically(output) as temporary, warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", _NO_LETTER)
            figure.savefig(temporary, format=ending[1:], metadata=_UNDATED[ending])
    letters = [warning for warning in caught if re.match(_NO_LETTER, str(warning.message))]
    if letters:
        logger.warning("%s: boxes stand for letters that the figure's font does not have", output)
    for warning in caught:
        if warning not in letters:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _png(figure: "Figure") -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=DPI / 2)
    return stream.getvalue()
