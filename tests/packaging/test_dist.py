"""What is about to be published is checked for what it must and must not contain."""

import importlib.util
import io
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

import maskadapter

ROOT = Path(__file__).parents[2]
VERSION = maskadapter.__version__


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dist, extras = tool("dist"), tool("extras")


def concrete(patterns):
    return [pattern.replace("lists/*", "lists/a.txt").replace("-*.dist", f"-{VERSION}.dist") for pattern in patterns]


@pytest.fixture
def folder(tmp_path):
    """A folder with a wheel and an sdist that hold what they have to, and no more."""
    write_wheel(tmp_path, concrete(dist.WHEEL_NEEDS))
    write_sdist(tmp_path, concrete(dist.SDIST_NEEDS))
    return tmp_path


def write_wheel(folder, names):
    with zipfile.ZipFile(folder / f"maskadapter-{VERSION}-py3-none-any.whl", "w") as archive:
        for name in names:
            archive.writestr(name, "")


def write_sdist(folder, names):
    with tarfile.open(folder / f"maskadapter-{VERSION}.tar.gz", "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"maskadapter-{VERSION}/{name}"), io.BytesIO())


def test_a_complete_folder_passes(folder, capsys):
    assert dist.main([str(folder)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("names", "finding"),
    [
        (["maskadapter/io/images.pyc"], "holds maskadapter/io/images.pyc, which is not to be published"),
        (["tests/test_public_api.py"], "holds tests/test_public_api.py, outside of the package"),
    ],
)
def test_what_a_wheel_must_not_hold_is_found(folder, names, finding):
    write_wheel(folder, [*concrete(dist.WHEEL_NEEDS), *names])
    assert [line.partition(" ")[2] for line in dist.findings(folder)] == [finding]


@pytest.mark.parametrize("needed", dist.WHEEL_NEEDS)
def test_what_a_wheel_lacks_is_found(folder, needed):
    write_wheel(folder, concrete(pattern for pattern in dist.WHEEL_NEEDS if pattern != needed))
    assert [line.partition(" ")[2] for line in dist.findings(folder)] == [f"lacks {needed}"]


def test_what_an_sdist_lacks_and_must_not_hold_is_found(folder):
    names = [name for name in concrete(dist.SDIST_NEEDS) if name != "NOTICE"]
    write_sdist(folder, [*names, "shared/secret.txt"])
    lines = [line.partition(" ")[2] for line in dist.findings(folder)]
    assert lines == ["lacks NOTICE", "holds shared/secret.txt, which is not to be published"]


def test_an_archive_that_is_too_large_is_found(folder, monkeypatch):
    monkeypatch.setattr(dist, "WHEEL_MOST", 100)
    assert [line for line in dist.findings(folder) if "MB, at most" in line]


def test_files_of_another_version_and_missing_ones_are_found(folder, capsys):
    next(folder.glob("*.whl")).rename(folder / "maskadapter-0.0.1-py3-none-any.whl")
    assert dist.main([str(folder)]) == 1
    printed = capsys.readouterr().out
    assert "maskadapter-0.0.1-py3-none-any.whl is neither wheel nor sdist" in printed
    assert "py3-none-any.whl does not exist" in printed


def test_what_the_checked_lists_name_is_in_the_repository():
    names = [name for name in dist.SDIST_NEEDS if name != "PKG-INFO"]
    names += [f"src/{name}" for name in dist.WHEEL_NEEDS if re.match(r"maskadapter/[^*]+$", name)]
    assert [name for name in names if not (ROOT / name).is_file()] == []


def test_extras_are_those_of_the_package_and_dev_is_left_out():
    known = extras.extras()
    assert known["export"] == ["onnx", "onnxruntime", "onnxscript"]
    assert "dev" not in known
    assert extras.main(["exprot"]) == 2
