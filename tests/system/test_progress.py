import io

import pytest
from rich.console import Console

from maskadapter.system import progress


@pytest.fixture
def screen(monkeypatch):
    """A terminal whose output can be read."""

    def screen(terminal):
        console = Console(file=io.StringIO(), force_terminal=terminal, force_interactive=terminal, width=80)
        monkeypatch.setattr(progress, "_console", lambda: console)
        return console.file

    return screen


def test_a_bar_counts(screen):
    written = screen(True)
    with progress.bar("reading [b]", 3, done=1) as advance:
        advance(2)
    assert "reading [b]" in written.getvalue()
    assert "3/3" in written.getvalue()


def test_bytes_have_units(screen):
    written = screen(True)
    with progress.bar("loading", 4_000_000, in_bytes=True) as advance:
        advance(2_000_000)
    assert "2.0/4.0 MB" in written.getvalue()


def test_a_spinner_may_hold_a_bar(screen):
    written = screen(True)
    with progress.busy("working [/]"), progress.bar("encoding", 2) as advance:
        advance(2)
    assert "working [/] ..." in written.getvalue()
    assert "encoding" in written.getvalue()


def test_nothing_is_written_where_nobody_looks(screen):
    written = screen(False)
    with progress.busy("working"), progress.bar("encoding", 2) as advance:
        advance(2)
    assert written.getvalue() == ""
