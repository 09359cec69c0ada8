"""Every script of tools/ says what it does, and does nothing else, when it is asked for help."""

import json
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Of tools/tiny/requirements.txt, which [dev] does not hold.
NEEDS = {"tools/tiny/edge_teacher.py": "h5py", "tools/tiny/pseudo_labels.py": "ai_edge_litert"}
SCRIPTS = [
    path.relative_to(ROOT).as_posix()
    for path in sorted((ROOT / "tools").rglob("*.py"))
    if '\nif __name__ == "__main__":\n' in path.read_text(encoding="utf-8")
]
# One process for all: PyTorch is imported once. Each script finds its neighbors, and none of another's.
ASK = """
import contextlib, io, json, runpy, sys, traceback
from pathlib import Path

path, found = sys.path[:], {}
for script in map(Path, json.load(sys.stdin)):
    before, sys.argv, sys.path[:] = set(sys.modules), [str(script), "--help"], [str(script.parent), *path]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            runpy.run_path(str(script), run_name="__main__")
            code = "it ends without an answer"
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException:
            code = traceback.format_exc()
    found[str(script)] = code, out.getvalue()
    for name in set(sys.modules) - before:
        if "tools" in Path(getattr(sys.modules[name], "__file__", None) or "").parts:
            del sys.modules[name]
print(json.dumps(found))
"""


@cache
def answers():
    scripts = json.dumps([script for script in SCRIPTS if find_spec(NEEDS.get(script, "json"))])
    done = subprocess.run([sys.executable, "-c", ASK], input=scripts, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script):
    if script not in answers():
        pytest.skip(f"{NEEDS[script]} is not installed")
    code, text = answers()[script]
    assert code == 0, text
    assert text.startswith("usage: ")
