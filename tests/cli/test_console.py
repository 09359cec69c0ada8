"""Test what the commands lay out for a terminal."""

import re
import sys

from maskadapter.cli.console import show_markdown


def test_a_narrow_terminal_cuts_no_word_of_a_table_off(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_markdown("| method | CLIP |\n| --- | --- |\n| w/ Mask-Adapter | ConvNeXt-Large |\n")
    printed = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, printed.splitlines())) <= 20
    assert sorted(re.sub(r"[\s─━]", "", printed)) == sorted("methodCLIPw/Mask-AdapterConvNeXt-Large")
