"""Install each extra into an environment of its own and import it there: ``python tools/extras.py [EXTRA ...]``.

In each environment, below ``build/extras``: PyTorch first (``PIP_EXTRA_INDEX_URL`` may name the index without CUDA),
then the package with that one extra, both at the versions of ``constraints.txt``. Then every public name, and every
package that the extra names, has to be importable, and ``pip check`` has to find no conflict. The environment of an
extra that passed is removed. The exit code is 1 if one failed.
"""

import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "extras"

IMPORT_ALL = """
import re, sys
from importlib import import_module
from importlib.metadata import distribution, packages_distributions

import maskadapter

for name in maskadapter.__all__:
    getattr(maskadapter, name)
canonical = lambda name: re.sub(r"[-_.]+", "-", name).lower()
modules = {}
for module, owners in packages_distributions().items():
    for owner in owners:
        modules.setdefault(canonical(owner), []).append(module)
for package in sys.argv[1:]:
    found = [module for module in modules[canonical(package)] if not module.startswith("_")]
    for module in found:
        import_module(module)
    print(package, distribution(package).version, "as", *found)
"""


def extras() -> dict[str, list[str]]:
    """Return the packages that each extra names, without versions; extras made of others, such as dev, are left out."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return {
        extra: [re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0] for requirement in requirements]
        for extra, requirements in listed.items()
        if not any(requirement.startswith("maskadapter") for requirement in requirements)
    }


def passes(extra: str, packages: list[str]) -> bool:
    """Install one extra, import it, and say how it went. Without an extra, "", the package alone."""
    folder = FOLDER / (extra or "none")
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wanted = f"{ROOT}[{extra}]" if extra else str(ROOT)
    install = [*pip, "install", "--constraint", str(ROOT / "constraints.txt")]
    steps = (
        [*install, "torch"],
        [*install, wanted],
        [*pip, "check"],
        [python, "-c", IMPORT_ALL, *packages],
    )
    for step in steps:
        if subprocess.run(step, cwd=folder).returncode:
            print(f"FAILED {extra or 'no extra'}: see {folder.relative_to(ROOT)}", flush=True)
            return False
    shutil.rmtree(folder)
    print(f"ok {extra or 'no extra'}", flush=True)
    return True


def main(arguments: list[str]) -> int:
    """Try the given extras, or none and then every one, and return the exit code."""
    known = {"": [], **extras()}
    unknown = [extra for extra in arguments if extra not in known]
    if unknown:
        print(f"{unknown[0]} is not an extra: {', '.join(filter(None, known))}", file=sys.stderr)
        return 2
    failed = [extra for extra in arguments or known if not passes(extra, known[extra])]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
