"""JSON Lines survive an interruption: a torn last line is ignored, a damaged one is named."""

import errno

import pytest

from maskadapter.errors import MaskAdapterError
from maskadapter.system import json_lines

ENTRIES = [{"index": number, "name": "größe" * number} for number in range(4)]


@pytest.fixture
def path(tmp_path):
    for entry in ENTRIES:
        json_lines.append(tmp_path / "log.jsonl", entry)
    return tmp_path / "log.jsonl"


def test_entries_are_read_back_in_order(path, tmp_path):
    assert list(json_lines.read(path)) == ENTRIES
    assert list(json_lines.read(tmp_path / "absent.jsonl")) == []


def test_reading_goes_on_from_a_byte(path):
    places = list(json_lines.read_from(path, 0))
    assert [place[0] for place in places[1:]] == [place[1] for place in places[:-1]]
    assert [entry for _, _, entry in json_lines.read_from(path, places[1][1])] == ENTRIES[2:]
    assert [json_lines.read_at(path, start) for start, _, _ in places] == ENTRIES


@pytest.mark.parametrize("torn", [b"{", b"x" * 200_000, b""])
def test_a_torn_last_line_counts_as_not_written(path, torn):
    with path.open("ab") as file:
        file.write(torn)
    assert list(json_lines.read(path)) == ENTRIES
    json_lines.drop_torn_line(path)
    json_lines.append(path, {"index": 4})
    assert list(json_lines.read(path)) == [*ENTRIES, {"index": 4}]


def test_a_file_of_one_torn_line_becomes_empty(tmp_path):
    path = tmp_path / "log.jsonl"
    json_lines.drop_torn_line(path)
    assert not path.exists()
    path.write_bytes(b'{"index"')
    json_lines.drop_torn_line(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("line", [b"{broken\n", b"[1]\n", b"\xff\n"])
def test_a_damaged_line_is_named(path, line):
    start = path.stat().st_size
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(MaskAdapterError, match=rf"log\.jsonl is damaged at byte {start:,}: delete it"):
        list(json_lines.read(path))


def test_a_full_disk_is_an_error_of_one_line(path, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, line):
            return len(line) // 2

    monkeypatch.setattr(type(path), "open", lambda *_, **__: Full())
    with pytest.raises(MaskAdapterError, match=r"cannot write .*log\.jsonl: ") as full:
        json_lines.append(path, {"index": 9})
    assert full.value.__cause__.errno == errno.ENOSPC
