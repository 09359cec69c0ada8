"""Imports run downhill. The floors, from the ground up, are those of docs/architecture.md."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import maskadapter

PACKAGE = Path(maskadapter.__file__).parent
FLOORS = (
    {"errors"},
    {
        "structures",
        "schema",
        "target",
        "vocabulary",
        "files",
        "images",
        "progress",
        "checkpoint",
        "convert",
        "postprocess",
        "resampling",
        "best_classes",
        "torchvision_schemas",
        "cache_folder",
        "catalog",
        "transfer",
    },
    {"visualize", "coco", "masks", "detections", "activation_maps", "text_cache", "download", "images"},
    {"segmentation", "classification"},
    {"models", "data"},
    {"hub", "variants", "bare_clip", "settings"},
    {"training", "evaluation", "bulk", "export", "check", "batch", "labeling"},
    {"benchmark", "reproduce", "plot", "serve"},
    {"cli", "__main__"},
)
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}
MOST_LINES = 320


def imports_of(path, module):
    """Full names that a file imports, wherever in it the statement stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
            base = ".".join(parents[: len(parents) + 1 - node.level]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def modules_of(package):
    """Module name -> file."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def violations(package):
    """One line for everything in a package that breaks the order of its floors."""
    found, name, modules = [], package.name, modules_of(package)
    graph = {}
    for module, path in modules.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            found.append(f"{module} has {lines} lines")
        if module == name:  # the table of lazy names reaches everywhere
            continue
        unit = module.split(".")[1]
        if unit not in FLOOR_OF:
            found.append(f"{module} has no floor")
            continue
        for imported in imports_of(path, module):
            if imported.split(".")[0] == "open_clip" and module != f"{name}.models.clip":
                found.append(f"{module} imports open_clip")
            if imported.split(".")[0] != name:
                continue
            # "from a.b import c" may name a module c or something inside of a.b.
            target = imported if imported in modules else imported.rpartition(".")[0]
            if target in (name, ""):
                if FLOOR_OF[unit] < len(FLOORS) - 1:
                    found.append(f"{module} imports {name} itself")
                continue
            other = target.split(".")[1]
            graph.setdefault(module, set()).add(target)
            if FLOOR_OF.get(other, -1) > FLOOR_OF[unit]:
                found.append(f"{module} imports {target} uphill")
            if {unit, other} == {"models", "data"}:
                found.append(f"{module} imports {target} sideways")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("cycle: " + " -> ".join(reversed(error.args[1])))
    return found


def test_the_package_keeps_its_floors():
    assert violations(PACKAGE) == []


def test_the_guard_sees_the_whole_package():
    modules = modules_of(PACKAGE)
    assert {"maskadapter.errors", "maskadapter.cli", "maskadapter.models.clip.clip"} <= set(modules)
    imported = set(imports_of(modules["maskadapter.cli.segment"], "maskadapter.cli.segment"))
    assert "maskadapter.io.images.read_image" in imported  # inside a function


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"errors.py": "import maskadapter.cli"}, "maskadapter.errors imports maskadapter.cli uphill"),
        (
            {"images.py": "def f():\n    from maskadapter.hub.loading import load"},
            "maskadapter.io.images imports maskadapter.hub.loading uphill",
        ),
        ({"images.py": "from maskadapter import hub"}, "maskadapter.io.images imports maskadapter.hub.loading uphill"),
        ({"images.py": "from . import hub"}, "maskadapter.io.images imports maskadapter.hub.loading uphill"),
        ({"images.py": "from maskadapter import load"}, "maskadapter.io.images imports maskadapter itself"),
        ({"images.py": "import maskadapter"}, "maskadapter.io.images imports maskadapter itself"),
        (
            {"models/clip.py": "from ..data import coco"},
            "maskadapter.models.clip.clip imports maskadapter.data.coco sideways",
        ),
        ({"hub.py": "import open_clip.factory"}, "maskadapter.hub.loading imports open_clip"),
        (
            {"images.py": "import maskadapter.system.atomic_files", "files.py": "from maskadapter.io.images import x"},
            "cycle: maskadapter.system.atomic_files -> maskadapter.io.images -> maskadapter.system.atomic_files",
        ),
        ({"helpers.py": ""}, "maskadapter.helpers has no floor"),
        ({"images.py": "pass\n" * 321}, "maskadapter.io.images has 321 lines"),
    ],
)
def test_the_guard_finds_every_kind_of_violation(tmp_path, files, found):
    package = tmp_path / "maskadapter"
    whole = dict.fromkeys(("__init__.py", "errors.py", "images.py", "files.py", "hub.py", "cli.py", "data/coco.py"), "")
    for name, text in {**whole, "models/clip.py": "import open_clip", **files}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    reported = violations(package)
    assert len(reported) == 1
    # A cycle may be told from any of its members.
    assert reported == [found] or (found.startswith("cycle") and set(reported[0].split()) == set(found.split()))


def test_the_guard_is_silent_on_a_sound_tree(tmp_path):
    package = tmp_path / "maskadapter"
    package.mkdir()
    for name, text in {
        "__init__.py": "",
        "errors.py": "",
        "images.py": "from maskadapter.errors import ImageError\nimport numpy",
        "cli.py": "import maskadapter\ndef f():\n    from maskadapter.io.images import read_image",
    }.items():
        (package / name).write_text(text)
    assert violations(package) == []
