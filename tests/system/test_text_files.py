"""Reading text and bytes with a limit."""

import os
import threading
from pathlib import Path

import pytest

from maskadapter.errors import DatasetError, VocabularyError
from maskadapter.system.text_files import read_bytes, read_text


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_with_and_without_a_byte_order_mark(tmp_path, mark):
    path = tmp_path / "classes.txt"
    path.write_bytes(mark + "кошка\nsofa\n".encode())
    assert read_text(path, 100, DatasetError) == "кошка\nsofa\n"


@pytest.mark.parametrize("length", [0, 1, 9, 10])
def test_files_up_to_the_limit_are_read(tmp_path, length):
    (tmp_path / "a").write_bytes(b"x" * length)
    assert read_bytes(tmp_path / "a", 10, DatasetError) == b"x" * length


def test_refusals_are_one_line_of_the_given_kind(tmp_path):
    (tmp_path / "long").write_bytes(b"x" * 11)
    (tmp_path / "photo").write_bytes(b"\xff\xd8")
    for path, message in [
        (tmp_path / "gone", "no such list: .*gone"),
        (tmp_path / "long", "long is larger than 10 bytes: a smaller list is needed"),
        (tmp_path / "photo", "cannot read .*photo: it is not UTF-8 text"),
        (tmp_path, "cannot read .*: Is a directory"),
        (tmp_path / "a\0b", "cannot read .*null"),
    ]:
        with pytest.raises(VocabularyError, match=message) as refused:
            read_text(path, 10, VocabularyError, "list")
        assert "\n" not in str(refused.value)


def test_paths_as_a_user_gives_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "classes.txt").write_text("cat")
    assert read_text(Path("~/classes.txt"), 10, DatasetError) == "cat"
    with pytest.raises(DatasetError, match="is an address"):
        read_text(Path("https://example.org/classes.txt"), 10, DatasetError)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no /dev/zero")
def test_a_device_without_an_end_is_refused():
    with pytest.raises(DatasetError, match="larger than 1,000 bytes"):
        read_bytes(Path("/dev/zero"), 1000, DatasetError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_to_its_end(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"cat\ndog",))
    writer.start()
    assert read_text(pipe, 100, DatasetError) == "cat\ndog"
    writer.join()
