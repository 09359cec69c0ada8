"""Paths as a user gives them."""

from pathlib import Path

import pytest

from maskadapter.errors import DatasetError
from maskadapter.system.paths import user_path


def test_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, path in {
        "~": tmp_path,
        "~/photos/a.jpg": tmp_path / "photos/a.jpg",
        Path("~/a"): tmp_path / "a",
        "a/~/b": Path("a/~/b"),
        "~no-such-user/a": Path("~no-such-user/a"),
        "~lock.jpg": Path("~lock.jpg"),
        "a.jpg": Path("a.jpg"),
        "": Path(""),
    }.items():
        assert user_path(given, DatasetError) == path


@pytest.mark.parametrize(
    "given",
    [
        "https://example.org/a.jpg",
        "HTTP://example.org",
        "s3://bucket/photos/*.jpg",
        "gs://b",
        "file:///home/a.jpg",
        Path("https://example.org/a.jpg"),
        "data:image/png;base64," + "iVBOR" * 10_000,
    ],
)
def test_addresses_are_refused_in_one_short_line(given):
    with pytest.raises(DatasetError, match="is an address; a path on this computer is needed: download it") as refused:
        user_path(given, DatasetError)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("given", ["C:/photos/a.jpg", "C:\\photos", "a:b.jpg", "12:30/a.jpg", "x//y:/z", "data:a.jpg"])
def test_colons_in_paths(given):
    assert user_path(given, DatasetError) == Path(given)
