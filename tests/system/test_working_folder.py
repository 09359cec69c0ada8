import os
import subprocess
import sys
import time

import pytest

from maskadapter.errors import MaskAdapterError
from maskadapter.system.working_folder import NAME, working_folder

HOLD = """
import sys, time
from pathlib import Path
from maskadapter.system.working_folder import working_folder
with working_folder(Path(sys.argv[1]), alone=True) as folder:
    (folder / "half").write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_folder_is_there_while_the_block_runs(tmp_path):
    with working_folder(tmp_path / "out", alone=True) as folder:
        (folder / "half").write_text("half")
        assert folder.parent == tmp_path / "out" / NAME
    assert os.listdir(tmp_path) == []
    (tmp_path / "out").mkdir()
    with working_folder(tmp_path / "out", alone=False):
        pass
    assert os.listdir(tmp_path / "out") == []


def test_a_killed_run_blocks_nothing_and_its_files_are_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    for alone in (True, False):
        start = time.monotonic()
        with pytest.raises(MaskAdapterError, match="another run is writing into"), working_folder(tmp_path, alone):
            pass
        assert time.monotonic() - start < 20
    process.kill()
    process.communicate()
    assert len(list((tmp_path / NAME).rglob("half"))) == 1
    (tmp_path / NAME / "journal").write_text("stays")
    (tmp_path / ".hidden-1a2b3c4d.png").write_text("not ours")
    with working_folder(tmp_path, alone=True) as folder:
        assert folder.is_dir()
        assert not list((tmp_path / NAME).rglob("half"))
    assert sorted(os.listdir(tmp_path)) == [".hidden-1a2b3c4d.png", NAME]
    assert os.listdir(tmp_path / NAME) == ["journal"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks are never shared there")
def test_runs_that_need_not_be_alone_share_the_folder(tmp_path):
    with working_folder(tmp_path, alone=False) as one, working_folder(tmp_path, alone=False) as other:
        assert one != other
        assert one.is_dir()
        with pytest.raises(MaskAdapterError, match="another run"), working_folder(tmp_path, alone=True):
            pass
        assert one.is_dir()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "deep"):
        with (
            pytest.raises(MaskAdapterError, match=r"cannot write .*file.*: Not a directory"),
            working_folder(path, True),
        ):
            pass
