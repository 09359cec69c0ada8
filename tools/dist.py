"""Check what would be published: ``python tools/dist.py [dist]``, the last step of ``make dist``.

The folder has to hold one wheel and one sdist of this version; each is checked for what it must contain, what it must
not, and its size. Every finding is a line, and the exit code is 1 if there is one.
"""

import argparse
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import maskadapter

MEGABYTE = 1_000_000
WHEEL_MOST = 40 * MEGABYTE
SDIST_MOST = 60 * MEGABYTE  # PyPI takes 100 MB a file

WHEEL_NEEDS = (
    "maskadapter/__init__.py",
    "maskadapter/py.typed",
    "maskadapter/hub/weights/tiny.safetensors",
    "maskadapter/hub/weights/tiny.md",
    "maskadapter/hub/zoo/published_weights.yaml",
    "maskadapter/vocabulary/lists/*",
    "maskadapter-*.dist-info/entry_points.txt",
    "maskadapter-*.dist-info/licenses/LICENSE",
    "maskadapter-*.dist-info/licenses/NOTICE",
)
SDIST_NEEDS = (
    "PKG-INFO",
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "NOTICE",
    "SECURITY.md",
    "conda/recipe.yaml",
    "constraints.txt",
    "docker/cpu.Dockerfile",
    "docs/index.md",
    "examples/sample_files.py",
    "mkdocs.yml",
    "pyproject.toml",
    "recipes/README.md",
    "results/README.md",
    "src/maskadapter/__init__.py",
    "tests/test_public_api.py",
    "tools/dist.py",
)
UNWANTED = (
    "*.pyc",
    "*/__pycache__/*",
    "*.egg-info/*",
    ".git/*",
    ".venv*/*",
    ".*_cache/*",
    "build/*",
    "datasets/*",
    "dist/*",
    "out/*",
    "runs/*",
    "shared/*",
)


def names_in_wheel(path: Path) -> list[str]:
    """Return the names of all files in a wheel."""
    with zipfile.ZipFile(path) as archive:
        return [each.filename for each in archive.infolist() if not each.is_dir()]


def names_in_sdist(path: Path) -> list[str]:
    """Return the names of all files in an sdist, relative to its one folder."""
    with tarfile.open(path) as archive:
        return [each.name.partition("/")[2] for each in archive if each.isfile()]


def missing_and_unwanted(names: Iterable[str], needs: Iterable[str]) -> Iterator[str]:
    """Yield a line for each pattern of ``needs`` that no name fits, and each name that fits one of ``UNWANTED``."""
    names = list(names)
    for pattern in needs:
        if not any(fnmatch(name, pattern) for name in names):
            yield f"lacks {pattern}"
    for name in names:
        if any(fnmatch(name, pattern) for pattern in UNWANTED):
            yield f"holds {name}, which is not to be published"


def wheel_findings(names: list[str]) -> Iterator[str]:
    """Yield what is wrong with the contents of a wheel."""
    yield from missing_and_unwanted(names, WHEEL_NEEDS)
    for name in names:
        if not fnmatch(name, "maskadapter/*") and not fnmatch(name, "maskadapter-*.dist-info/*"):
            yield f"holds {name}, outside of the package"


def findings(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the files in a folder that are to be published."""
    version = maskadapter.__version__
    wheel, sdist = folder / f"maskadapter-{version}-py3-none-any.whl", folder / f"maskadapter-{version}.tar.gz"
    others = {path.name for path in folder.iterdir()} - {wheel.name, sdist.name} if folder.is_dir() else set()
    yield from (f"{name} is neither wheel nor sdist of {version}" for name in sorted(others))
    for path, most in (wheel, WHEEL_MOST), (sdist, SDIST_MOST):
        if not path.is_file():
            yield f"{path} does not exist"
            continue
        if path.stat().st_size > most:
            yield f"{path.name} has {path.stat().st_size / MEGABYTE:.1f} MB, at most {most / MEGABYTE:.0f} are expected"
        inside = (
            wheel_findings(names_in_wheel(path))
            if path is wheel
            else missing_and_unwanted(names_in_sdist(path), SDIST_NEEDS)
        )
        yield from (f"{path.name} {line}" for line in inside)


def main(arguments: list[str]) -> int:
    """Print the findings and the sizes, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("dist"))
    folder = parser.parse_args(arguments).folder
    found = list(findings(folder))
    print(*found, sep="\n", end="\n" if found else "")
    for path in sorted(folder.glob("maskadapter-*")):
        print(f"{path.name}: {path.stat().st_size / MEGABYTE:.1f} MB")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
