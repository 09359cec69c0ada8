"""Install each extra into an environment of its own and use it there: ``python tools/extras.py [EXTRA ...]``.

First the package alone is installed into ``build/extras/none``, PyTorch before it, so that nothing else chooses its
build (``PIP_EXTRA_INDEX_URL`` may name the index without CUDA). The environment of an extra sees that one and adds what
the extra brings, and nothing else; all at the versions of ``constraints.txt``. In each:

- ``pip check`` finds no conflict;
- every public name, every module and every package that the extra names can be imported;
- a command that needs the extra works with it, and names it in one line where it is missing: in ``none``.

Prints a line for each failure, the last of its log, and a table. The exit code is 1 if one failed. The environment of
an extra that passed is removed, at the end that of ``none`` too.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "extras"
NONE = "none"

IMPORTS = """
import re, sys
from importlib import import_module
from importlib.metadata import distribution, packages_distributions
from pkgutil import walk_packages

import maskadapter

for name in maskadapter.__all__:
    getattr(maskadapter, name)
left_out = tuple(sys.argv[1].split())  # rooms whose modules need another extra
for module in walk_packages(maskadapter.__path__, "maskadapter."):
    if not module.name.startswith((*left_out, "maskadapter.__main__")):
        import_module(module.name)
canonical = lambda name: re.sub(r"[-_.]+", "-", name).lower()
modules = {}
for module, owners in packages_distributions().items():
    for owner in owners:
        modules.setdefault(canonical(owner), []).append(module)
for package in sys.argv[2:]:
    for module in modules[canonical(package)]:
        if not module.startswith("_"):
            import_module(module)
    print(package, distribution(package).version)
"""

FILES = """
from pathlib import Path

from PIL import Image
from skimage import data

photo = Image.fromarray(data.astronaut()).resize((96, 96))
photo.save("photo.png")
photo.save("clip.gif", save_all=True, append_images=[photo.rotate(3), photo.rotate(6)], duration=100)
for folder in ("images", "labels", "network"):
    Path(folder).mkdir()
photo.save("images/photo.png")
Image.new("L", photo.size).save("labels/photo.png")
files = "{images: images, labels: labels}"
Path("set.yaml").write_text(f"task: semantic\\nclasses: [person, wall]\\ntrain: {files}\\nval: {files}\\n")
Path("warmup.yaml").write_text('''
stage: warmup
model: {architecture: tiny, weights: tiny, hidden_dim: 8, num_blocks: 1, num_maps: 2}
data: {train: [{name: set.yaml}], crop: 64, workers: 0}
masks: {ground_truth: 4}
run: {iterations: 1, batch_size: 1, log_every: 1}
evaluation: {every: 1, datasets: [set.yaml], images: 1}
''')
"""


class Use(NamedTuple):
    """A command that needs an extra, and what its output holds where the extra is installed. before: a command that has
    to be run first, and that needs the extra's other extras."""

    command: str
    output: str
    before: str = ""


PLAN = "bulk plan photo.png --classes person --output plan"
USES = {
    "bulk": Use(PLAN, "plan"),
    "export": Use("export tiny --output exported", "exported"),
    "label": Use("label photo.png --classes person,wall --format yolo --output set", "set"),
    "plot": Use("plot gallery photo.png --classes person,wall --output gallery.png", "gallery.png"),
    "ray": Use("bulk run plan --engine ray", "1 of 1 shards", before=PLAN),
    "serve": Use("serve --host 203.0.113.1", "cannot listen on 203.0.113.1"),  # not an address of this computer
    "train": Use("train warmup.yaml --cpu --output run", "model.safetensors"),  # classes of one's own need no extra
    "transformers": Use("segment photo.png --classes person --masks segmenter:./network", "config.json"),
    "video": Use("video clip.gif --classes person,wall --output film", "film"),
}
# Rooms whose modules import the libraries of an extra at their top: they are only entered where these are.
ROOMS_OF = {"serve": ("maskadapter.serve", "maskadapter.integrations.labeling_servers")}


class Failure(Exception):
    """What failed in an environment, one line."""


class Environment:
    """A new virtual environment with a folder ``files`` to work in, which logs what is run. below: one whose packages
    it sees too."""

    def __init__(self, name: str, below: "Environment | None" = None):
        self.name, self.folder = name, FOLDER / name
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=below is None)
        self.python = self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        self.log = FOLDER / f"{name}.log"
        self.log.write_text("")
        self.files = self.folder / "files"
        self.files.mkdir()
        self.packages = Path(self.output("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        if below:
            (self.packages / "below.pth").write_text(f"{below.packages}\n")

    def output(self, *arguments: str, code: int | None = 0) -> str:
        """Run Python and return what it printed; code: the exit code that it has to have."""
        done = subprocess.run(
            [self.python, *arguments], cwd=self.files, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with self.log.open("a") as log:
            print("$ python", *arguments, file=log)
            print(done.stdout, file=log)
        if code is not None and done.returncode != code:
            lines = done.stdout.split("\n")
            raise Failure(next((line for line in reversed(lines) if line.strip()), f"exit code {done.returncode}"))
        return done.stdout

    def pip(self, *arguments: str) -> None:
        """Run pip."""
        self.output("-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)

    def install(self, *requirements: str) -> None:
        """Install packages at the versions of ``constraints.txt``."""
        self.pip("install", "--constraint", str(ROOT / "constraints.txt"), *requirements)


def extras() -> dict[str, list[str]]:
    """Return the packages that each extra names, without versions and with those of extras that it contains. ``dev`` is
    left out: the tests run in its environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = project["optional-dependencies"]

    def packages(extra: str) -> list[str]:
        found = []
        for requirement in listed[extra]:
            if inside := re.match(r"maskadapter\[(.*)\]", requirement):
                found += [package for name in inside[1].split(",") for package in packages(name)]
            else:
                found.append(re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0])
        return found

    return {extra: packages(extra) for extra in listed if extra != "dev"}


def with_package_alone() -> tuple[Environment, Path]:
    """Return the environment of the package without extras, and the wheel that is installed there."""
    none = Environment(NONE)
    none.install("torch")
    none.pip("wheel", "--no-deps", "--wheel-dir", str(FOLDER), str(ROOT))
    (wheel,) = FOLDER.glob("maskadapter-*.whl")
    none.install(str(wheel))
    check_imports(none, "", [])
    none.output("-c", FILES)
    return none, wheel


def check_imports(environment: Environment, extra: str, packages: list[str]) -> str:
    """Import everything that has to be there, and return the packages of the extra with their versions, a line each."""
    rooms = [room for other, rooms in ROOMS_OF.items() if other != extra for room in rooms]
    environment.pip("check")
    return environment.output("-W", "ignore", "-c", IMPORTS, " ".join(rooms), *packages)


def check_use(environment: Environment, extra: str, missing: bool) -> None:
    """Run the command that needs an extra: it has to work, or, where the extra is missing, to say how to get it."""
    use = USES[extra]
    if use.before:
        environment.output("-m", "maskadapter", *use.before.split())
    printed = environment.output("-m", "maskadapter", *use.command.split(), code=2 if missing else None)
    last = printed.strip().rpartition("\n")[2]
    if missing and not (last.startswith("error: ") and last.endswith(f"pip install 'maskadapter[{extra}]'")):
        raise Failure(f"without {extra}, maskadapter {use.command.split()[0]} says: {last}")
    if not missing and (use.output not in printed or "Traceback" in printed or "pip install" in printed):
        raise Failure(f"maskadapter {use.command.split()[0]} says: {last}")


def try_extra(extra: str, packages: list[str], none: Environment, wheel: Path) -> str:
    """Try one extra, and return its packages with their versions. Raises Failure."""
    if extra in USES and not USES[extra].before:
        check_use(none, extra, missing=True)
    environment = Environment(extra, below=none)
    environment.install(f"{wheel}[{extra}]")
    versions = check_imports(environment, extra, packages)
    if extra in USES:
        environment.output("-c", FILES)
        check_use(environment, extra, missing=False)
    shutil.rmtree(environment.folder)
    return ", ".join(versions.splitlines())


def main(given: list[str]) -> int:
    """Try the given extras, or every one, and return the exit code."""
    known = extras()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extra", nargs="*", help=f"of {', '.join(known)}; without any, all")
    chosen = parser.parse_args(given).extra or list(known)
    if unknown := [extra for extra in chosen if extra not in known]:
        print(f"{unknown[0]} is not an extra: {', '.join(known)}", file=sys.stderr)
        return 2
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    rows, failed, start = [], 0, time.monotonic()
    try:
        none, wheel = with_package_alone()
    except Failure as failure:
        print(f"FAILED without extras: {failure}", flush=True)
        return 1
    rows.append((NONE, "ok", time.monotonic() - start, ""))
    for extra in chosen:
        start = time.monotonic()
        try:
            versions, outcome = try_extra(extra, known[extra], none, wheel), "ok"
        except Failure as failure:
            versions, outcome, failed = "", "FAILED", failed + 1
            print(f"FAILED {extra}: {failure}; see {(FOLDER / extra).relative_to(ROOT)}.log", flush=True)
        rows.append((extra, outcome, time.monotonic() - start, versions))
    print("| extra | | seconds | packages |\n|---|---|---:|---|")
    print(*(f"| {name} | {outcome} | {seconds:.0f} | {text} |" for name, outcome, seconds, text in rows), sep="\n")
    if not failed:
        shutil.rmtree(none.folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
