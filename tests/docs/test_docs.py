"""What the documentation tells a reader to type works."""

import re
import runpy
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import skimage
import typer
import yaml
from PIL import Image

import maskadapter as ma
from maskadapter.cli import app, main

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *(ROOT / "recipes" / "README.md", ROOT / "src" / "maskadapter" / "hub" / "weights" / "tiny.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def blocks(language):
    """(page and line, text) of every fenced block in that language."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            if match.group(1) == language:
                yield f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}", match.group(2)


PYTHON = dict(blocks("python"))
# The last place of a command that stands in several.
PLACES = {line: place for place, text in blocks("") for line in text.splitlines() if line.startswith("maskadapter ")}
COMMANDS = {f"{place}: {line}": line for line, place in PLACES.items()}


# What needs a network or a gigabyte of weights is not run; its options have to exist.
LONG_COMMANDS = {
    f"{place}: {line}": line.partition("| ")[2] or line
    for place, text in blocks("sh")
    for line in text.splitlines()
    if "maskadapter " in line
}


@pytest.fixture(scope="module")
def sample_files(tmp_path_factory):
    """A folder with the photo, the masks and the folder of images that the documentation uses."""
    folder = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        runpy.run_path(str(ROOT / "examples" / "sample_files.py"))
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    return folder


@pytest.fixture
def workplace(sample_files, tmp_path, monkeypatch):
    """A copy of those files, to work in."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sample_files, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_there_are_blocks_to_run():
    assert sum(place.startswith("README.md") for place in PYTHON) >= 2
    assert len(COMMANDS) >= 2


@pytest.mark.usefixtures("small_input")
@pytest.mark.parametrize("place", PYTHON)
def test_python_blocks_run(workplace, place):
    exec(compile(PYTHON[place], place, "exec"), {})
    if 'save("out/"' in PYTHON[place]:
        assert (workplace / "out").is_dir()
        assert len(list((workplace / "out").iterdir())) >= 2


@pytest.mark.parametrize("place", COMMANDS)
def test_commands_run(workplace, place, capsys, request):
    program, *words = shlex.split(COMMANDS[place])
    if words[:2] != ["models", "check"]:  # which looks at a photo as it is
        request.getfixturevalue("small_input")
    assert program == "maskadapter"
    with pytest.raises(SystemExit) as stopped:
        main(words)
    written = capsys.readouterr()
    assert not stopped.value.code, written.err
    assert written.out


@pytest.mark.parametrize("place", LONG_COMMANDS)
def test_long_commands_have_the_options_they_use(place, monkeypatch):
    monkeypatch.setattr("maskadapter.cli.options.version", lambda package: "2.13.0")  # PyTorch for a GPU
    program, *words = shlex.split(LONG_COMMANDS[place], comments=True)
    assert program == "maskadapter"
    command = typer.main.get_command(app)
    context = command.make_context(program, [])
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, words)
    assert command.make_context(name, words, parent=context).params


def test_make_demo_makes_the_first_image_of_the_readme(tmp_path):
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    words = shlex.split(re.search(r"/maskadapter (segment .*--output )out", recipe).group(1))
    photo = Path(skimage.__file__).parent / "data" / Path(words[1]).name
    with pytest.raises(SystemExit) as stopped:
        main([words[0], str(photo), *words[2:], str(tmp_path)])
    assert not stopped.value.code
    first = re.search(r"!\[[^]]*\]\((.+?)\)", (ROOT / "README.md").read_text(encoding="utf-8")).group(1)
    paths = tmp_path / f"{photo.stem}-overlay.png", ROOT / first
    made, shown = (np.asarray(Image.open(path).convert("RGB"), int) for path in paths)
    assert (np.abs(made - shown).max(-1) <= 2).mean() > 0.99  # not to the byte: processors round in their own ways


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_architecture_names_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)
    package = ROOT / "src" / "maskadapter"
    assert sorted(rows) == sorted(path.name for path in package.iterdir() if (path / "__init__.py").exists())


@pytest.mark.parametrize("place", PYTHON)
def test_python_blocks_import_public_names_and_nothing_behind_the_door_of_a_room(place):
    modules = re.findall(r"^\s*(?:from|import) (maskadapter[.\w]*)", PYTHON[place], re.MULTILINE)
    behind = [module for module in modules if find_spec(module).submodule_search_locations is None]
    assert behind == []


def test_the_changelog_has_a_section_for_this_version():
    sections = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert ma.__version__ in sections
    kinds = re.findall(r"^### (.+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Fixed", "Removed", "Renamed", "Security"}


def test_the_citation_names_paper_and_software():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    assert citation["license"] == "Apache-2.0"
    assert citation["preferred-citation"]["url"] == "https://arxiv.org/abs/2412.04533"


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda form: form.name
)
def test_issue_forms_ask_for_something(form):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= content.keys()
    ids = [element["id"] for element in content["body"]]
    assert len(ids) == len(set(ids))
    assert all(element["attributes"]["label"] for element in content["body"])


def test_pre_commit_runs_files_that_exist():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    local = [
        hook["entry"].split()[1]
        for repository in hooks
        if repository["repo"] == "local"
        for hook in repository["hooks"]
    ]
    assert local
    assert all((ROOT / name).is_file() for name in local)
