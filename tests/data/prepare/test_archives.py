"""Archives that are unsafe, damaged or too large are refused."""

import io
import shutil
import tarfile
import zipfile

import pytest
from small_sets import put, tarred, zipped

from maskadapter.data.prepare import archives as archives_module
from maskadapter.data.prepare.preparation import prepare
from maskadapter.errors import DatasetError


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "C:evil.png", "..\\evil.png"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_that_lead_outside_are_refused(root, name, pack):
    root.mkdir()
    inside = f"ADEChallengeData2016/images/{name}" if pack is zipped else f"ADEChallengeData2016/annotations/{name}"
    (root / "ADEChallengeData2016.zip").write_bytes(pack({inside: b"x"}))
    with pytest.raises(DatasetError, match="leads out of the folder"):
        prepare("ade20k-150", root, offline=True)
    assert [path.name for path in root.parent.rglob("*") if path.is_file()] == ["ADEChallengeData2016.zip"]


def test_links_are_refused(root):
    root.mkdir()
    member = tarfile.TarInfo("ADEChallengeData2016/images/validation")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(member)
    (root / "ADEChallengeData2016.zip").write_bytes(file.getvalue())
    with pytest.raises(DatasetError, match="not a regular file"):
        prepare("ade20k-150", root, offline=True)
    link = zipfile.ZipInfo("ADEChallengeData2016/images/validation")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(root / "ADEChallengeData2016.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(DatasetError, match="not a regular file"):
        prepare("ade20k-150", root, offline=True)


@pytest.mark.parametrize("name", ["ade20k-150", "pascal-voc-20", "pascal-context-459"])
def test_a_damaged_archive_is_named(name, root):
    put(root, name)
    for path in root.iterdir():
        content = bytearray(path.read_bytes())
        path.write_bytes(content[: len(content) // 2] if path.suffix != ".zip" else bytes(content[:60]) + content[70:])
    with pytest.raises(DatasetError, match=r"(is damaged or not an archive .*:|is it truncated\?) remove it, and"):
        prepare(name, root, offline=True)


def test_a_changed_byte_in_a_zip_is_noticed(root):
    put(root, "ade20k-150")
    content = bytearray((root / "ADEChallengeData2016.zip").read_bytes())
    with zipfile.ZipFile(root / "ADEChallengeData2016.zip") as archive:
        info = archive.infolist()[0]
    content[info.header_offset + 30 + len(info.filename) + 40] ^= 255
    (root / "ADEChallengeData2016.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="is damaged"):
        prepare("ade20k-150", root, offline=True)
    assert not (root / "ADEChallengeData2016" / info.filename.partition("/")[2]).exists()


def test_a_full_disk_is_noticed_before_unpacking(root, monkeypatch):
    put(root, "ade20k-150")
    usage = shutil.disk_usage(root)._replace(free=1000)
    monkeypatch.setattr(archives_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DatasetError, match=r"unpacking ADEChallengeData2016.zip takes 0.00 GB"):
        prepare("ade20k-150", root, offline=True)
