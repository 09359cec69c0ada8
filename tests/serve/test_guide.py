"""What docs/serving.md tells a reader to type works with a service that runs."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
from running_service import running

pytest.importorskip("fastapi")

from maskadapter.serve import ServedModel, Settings, create_app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture
def url(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / "sample_files.py"))
    with running(create_app(model, ServedModel.of(model, "tiny", True), Settings())) as (_, port):
        yield f"http://127.0.0.1:{port}"


def test_python(url, tmp_path, capsys):
    (block,) = re.findall(r"^```py\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    exec(block.replace("http://127.0.0.1:8000", url), {})
    assert "Segmentation(photo.jpg" in capsys.readouterr().out
    assert (tmp_path / "out" / "photo-overlay.png").is_file()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl(url):
    lines = re.findall(r"^curl .*$", TEXT, re.MULTILINE)
    assert len(lines) >= 5
    known = "ID"
    for line in lines:
        words = line.replace("http://127.0.0.1:8000", url).replace("ID", known).replace("curl ", "curl -sf ", 1)
        done = subprocess.run(words, shell=True, check=True, capture_output=True, text=True)
        if found := re.search(r'"id":"(\w+)"', done.stdout):
            known = found[1]
    assert Path("map.png").read_bytes().startswith(b"\x89PNG")
