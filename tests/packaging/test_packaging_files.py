"""Version, dependencies and commands agree in all files that a release is made of."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import maskadapter

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPE = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
CONDA_NAMES = {"torch": "pytorch", "open_clip_torch": "open-clip-torch"}


def test_every_file_has_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == RECIPE["context"]["version"] == maskadapter.__version__


def test_the_conda_recipe_has_the_dependencies_of_the_package():
    wanted = {"python": PROJECT["requires-python"]}
    for requirement in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
        wanted[CONDA_NAMES.get(name, name)] = bound
    assert dict(line.split(" ", 1) for line in RECIPE["requirements"]["run"]) == wanted
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([entry.split(" = ")]) == PROJECT["scripts"]


def test_what_dockerfiles_copy_is_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for path in DOCKERFILES:
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert {name for line in copied for name in line.split()} == kept
    assert all((ROOT / name).exists() for name in kept)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_containers_serve_without_rights_and_say_whether_they_are_well(path):
    text = path.read_text(encoding="utf-8")
    last = text[text.rindex("FROM ") :]
    assert re.findall(r"^USER (\d+)$", last, re.MULTILINE) == re.findall(r"useradd --uid (\d+)", last)
    assert "/healthz" in re.search(r"^HEALTHCHECK .*\\\n.*$", last, re.MULTILINE)[0]
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert '"maskadapter", "serve"' in last


def test_the_test_matrix_has_every_supported_python_and_system():
    matrix = WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]
    classifiers = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if ":: 3." in line]
    assert matrix["python"] == classifiers
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_may_read_and_no_more_and_end_by_themselves(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    for job in WORKFLOWS[name]["jobs"].values():
        assert job["timeout-minutes"] <= 180


def test_make_targets_of_workflows_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    steps = [step for flow in WORKFLOWS.values() for job in flow["jobs"].values() for step in job["steps"]]
    used = [word for step in steps for word in re.findall(r"^make ([\w-]+)", step.get("run", ""), re.MULTILINE)]
    assert used
    assert set(used) <= set(targets)


def test_only_the_publishing_job_of_a_release_may_sign():
    jobs = WORKFLOWS["release"]["jobs"]
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == ["publish"]
    assert jobs["publish"]["needs"] == "install"
    assert [step["uses"].partition("@")[0] for step in jobs["publish"]["steps"]][-1] == "pypa/gh-action-pypi-publish"
