"""What cannot be printed decides nothing."""

import io
import os
import subprocess
import sys

import pytest

from maskadapter.cli.output_streams import steady_output

PRINT = """
import sys
from maskadapter.cli.output_streams import steady_output
with steady_output():
    for number in range(int(sys.argv[1])):
        print("share of \\u25a0, na\\u00efve, \\udcff", number, flush=number % 2 == 0)
    print("\\u25a0 error", file=sys.stderr)
sys.exit(3)
"""


def printed(lines=1, **given):
    return subprocess.run([sys.executable, "-c", PRINT, str(lines)], stderr=subprocess.PIPE, **given)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "utf-8"])
def test_characters_that_the_console_does_not_have(encoding):
    done = printed(stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
    assert b"error" in done.stderr
    shown = done.stdout.decode(encoding)
    assert shown.startswith("share of \u25a0, naïve, ?" if encoding == "utf-8" else "share of ")
    assert shown.endswith(" 0" + os.linesep)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")
def test_a_closed_pipe_and_a_full_disk_change_no_exit_code():
    reader, writer = os.pipe()
    os.close(reader)
    done = printed(lines=3000, stdout=writer)
    os.close(writer)
    assert (done.returncode, b"Traceback" in done.stderr, b"Exception" in done.stderr) == (3, False, False)
    with open("/dev/full", "w") as full:
        done = printed(lines=3000, stdout=full)
    assert (done.returncode, b"Traceback" in done.stderr, b"Exception" in done.stderr) == (3, False, False)


def test_the_streams_are_put_back(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)

    def fail():
        with steady_output():
            print("\u25a0")
            assert sys.stdout.encoding == "cp1252"
            assert sys.stderr is None
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert sys.stdout is stream
    assert stream.buffer.getvalue().rstrip() == b"?"
