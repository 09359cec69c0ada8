import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically


def test_the_file_appears_whole_and_alone(tmp_path):
    path = tmp_path / "new" / "image.png"
    with write_atomically(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".png"
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["image.png"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with write_atomically(tmp_path / "ours") as temporary:
        temporary.write_text("")
    plain, ours = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours"))
    assert ours == plain


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "image.png"
    path.write_text("before")

    def fail():
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["image.png"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    code = (
        "import os, sys, time\n"
        "from maskadapter.system.atomic_files import write_atomically\n"
        "with write_atomically(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    print(temporary, flush=True)\n"
        "    time.sleep(60)"
    )
    path = tmp_path / "folder" / "weights.safetensors"
    kept = ("weights.safetensors", ".weights-1a2b3c4d.safetensors", ".holiday-20240101-12-20240101.jpg", ".hidden")
    path.parent.mkdir()
    for name in kept:
        (path.parent / name).write_text("the user's")
    process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
    temporary = Path(process.stdout.readline().rstrip("\n"))
    same = shutil.copytree(path.parent, tmp_path / "same")
    with write_atomically(same / "other.json") as other:
        other.write_text("{}")
    assert (same / temporary.name).exists()  # its process runs
    process.kill()
    process.communicate()
    assert temporary.exists()
    with write_atomically(path.parent / "other.json") as other:
        other.write_text("{}")
    assert sorted(os.listdir(path.parent)) == sorted((*kept, "other.json"))


def test_a_full_disk_is_one_line(tmp_path):
    def fill():
        with write_atomically(tmp_path / "image.png") as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(MaskAdapterError, match=r"cannot write .*image\.png: No space left on device$"):
        fill()
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path, message in [
        (tmp_path / "file" / "x.png", "Not a directory|File exists"),
        (tmp_path / "folder", "directory"),
    ]:
        with pytest.raises(MaskAdapterError, match=f"cannot write .*({message})"), write_atomically(path) as temporary:
            temporary.write_text("x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
