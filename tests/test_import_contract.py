"""The import contract of pyproject.toml holds, and each of its parts is broken by what it forbids."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 320  # lines of a file


def lint(folder):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run(
        [*command, "--no-cache", "--no-logo"],
        cwd=folder,
        env={"PYTHONPATH": f"{folder / 'src'}:{folder}", "PATH": "/usr/bin:/bin", "COLUMNS": "300"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "import_contract.py", tmp_path / "tools")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contract_holds(copy):
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("io/images.py", "from maskadapter.hub import load", "Imports run downhill BROKEN"),
        ("data/dataset.py", "from maskadapter.results import Segmentation", "Imports run downhill BROKEN"),
        ("hub/loading.py", "from maskadapter.models.segmenter import Classes", "entered by their doors BROKEN"),
        ("models/classifier.py", "from maskadapter.models.builder import build", "no cycles BROKEN"),
        ("hub/loading.py", "import open_clip", "Only models.clip knows open_clip BROKEN"),
        ("utils.py", "", "utils"),
    ],
)
def test_what_it_forbids_is_found(copy, file, line, broken):
    path = copy / "src" / "maskadapter" / file
    path.write_text((path.read_text(encoding="utf-8") if path.exists() else "") + f"\n{line}\n", encoding="utf-8")
    result = lint(copy)
    assert result.returncode == 1
    assert broken in result.stdout


def test_files_are_short():
    files = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "src").rglob("*.py")}
    assert {str(path.relative_to(ROOT)): count for path, count in files.items() if count > LONGEST} == {}
    assert len(list((ROOT / "src" / "maskadapter").iterdir())) <= 21  # 20 and __pycache__
