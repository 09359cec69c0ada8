"""The command ``maskadapter``: a subcommand reads its options, calls public functions and prints.

Libraries are imported where they are used, so that ``--help`` does not wait for PyTorch.
"""

import re
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import maskadapter
from maskadapter.cli import bulk, models, plot
from maskadapter.cli.benchmark import benchmark
from maskadapter.cli.classify import classify
from maskadapter.cli.console import show_log
from maskadapter.cli.evaluate import evaluate
from maskadapter.cli.export import export
from maskadapter.cli.help import helpful
from maskadapter.cli.label import label
from maskadapter.cli.output_streams import steady_output
from maskadapter.cli.prepare import prepare
from maskadapter.cli.reproduce import reproduce
from maskadapter.cli.segment import segment
from maskadapter.cli.serve import serve
from maskadapter.cli.train import train
from maskadapter.cli.video import video
from maskadapter.errors import MaskAdapterError
from maskadapter.system.error_text import did_you_mean
from maskadapter.system.renamed import advice
from maskadapter.system.stop_signals import termination_raised

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (segment, classify, label, video, evaluate, prepare, train, benchmark, export, serve, reproduce):
    app.command()(helpful(command))
app.add_typer(bulk.app, name="bulk")
app.add_typer(models.app, name="models")
app.add_typer(plot.app, name="plot")


@app.callback(invoke_without_command=True)
def entry(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Open-vocabulary segmentation: segment images into classes you name, and classify masks from any source."""
    if version:
        print(f"maskadapter {maskadapter.__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 a fault of the program, 2 a mistake in what was given, 130 Ctrl-C, 143
    SIGTERM."""
    with steady_output(), termination_raised():
        _run(list(sys.argv[1:] if arguments is None else arguments))


def _run(given: list[str]) -> NoReturn:
    show_log()
    try:
        sys.exit(app([one for one in given if one != "--debug"], prog_name="maskadapter", standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        if "--debug" in given:
            traceback.print_exception(error)
        line, code = _explained(error)
    # Names of files and classes may hold line breaks; the message stays one line.
    print("error:", " ".join(line.split()), file=sys.stderr)
    sys.exit(code)


def _explained(error: Exception) -> tuple[str, int]:
    """The line to print and the exit code."""
    if isinstance(error, MaskAdapterError):
        return str(error), 2
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("maskadapter"):
        return f"the library {error.name} is missing: pip install maskadapter brings what it needs, see README.md", 2
    if hasattr(error, "format_message"):
        # A mistake in the options. Typer carries its own copy of click and does not export the common class.
        line = f"{error.format_message().rstrip('.?')}. See maskadapter --help"
        return _renamed(error) or _unknown_command(error) or line, 2
    return f"{type(error).__name__}: {error}; run with --debug for the traceback", 1


def _unknown_command(error: Exception) -> str | None:
    """The line about a command that a group of commands does not have."""
    unknown = re.match("No such command '([^']*)'", getattr(error, "message", ""))
    context = getattr(error, "ctx", None)
    if unknown is None or context is None:
        return None
    known = context.command.commands
    if context.parent is None:
        return f"no command '{unknown[1]}': {did_you_mean(unknown[1], known)}"
    return f"{context.info_name} has no '{unknown[1]}': choose from {', '.join(known)}"  # figure3 is not like figure1


def _renamed(error: Exception) -> str | None:
    """The line about an option, a choice or a figure that has a new name, or about --split, which means another now."""
    if (unknown := getattr(error, "option_name", None)) is not None:
        return advice("option", unknown)
    if getattr(getattr(error, "ctx", None), "info_name", None) == "plot":
        unknown = re.match("No such command '(.+)'", getattr(error, "message", ""))
        return unknown and advice("figure", unknown.group(1))
    options = getattr(getattr(error, "param", None), "opts", ())
    if "--split" in options:
        return f"{advice('option', '--split')}; --split is train or val"
    if "--branch" in options:
        line = advice("branch", getattr(error, "message", "").split("'")[1])  # 'in' is not one of ...
        return line and f"--branch: {line}"
    return None
