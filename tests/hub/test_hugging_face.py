"""Models in repositories of the Hugging Face hub: read and written, on a server on this machine."""

import json
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import skimage
import torch
import yaml
from file_server import closed_port
from hub_server import HubServer
from safetensors import safe_open

import maskadapter as ma
from maskadapter.cli import main
from maskadapter.errors import CheckpointError, DownloadError
from maskadapter.hub.hub_repository import HubRepository

TINY = Path(ma.__file__).parent / "hub" / "weights" / "tiny.safetensors"
CONFIG = json.dumps({"library_name": "maskadapter", "model": "tiny"}).encode()
CHELSEA = Path(skimage.__file__).parent / "data" / "chelsea.png"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with a repository, and a cache of its own."""
    for name in ("MASKADAPTER_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the library's tries
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        server.repositories["org/tiny"] = {"main": {"config.json": CONFIG, "model.safetensors": TINY.read_bytes()}}
        yield server


@pytest.fixture(scope="module")
def model():
    return ma.load(pooler="adapter")


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_is_loaded(hub):
    model, embedded = ma.load("hf:org/tiny"), ma.load()
    found = model.state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in embedded.state_dict().items())
    assert ma.load(ma.ModelSource("hf:org/tiny", pooler="cropping")).inference == model.inference


def test_its_files_stay_in_the_hubs_own_cache(hub, tmp_path, monkeypatch):
    repository = HubRepository.of("hf:org/tiny")
    path = repository.fetch()
    assert path in (tmp_path / "hub").glob("models--org--tiny/snapshots/*/model.safetensors")
    bodies = [asked for asked in hub.asked if asked.method == "GET"]
    assert repository.fetch() == path
    assert [asked for asked in hub.asked if asked.method == "GET"] == bodies  # what is there is not sent again
    with monkeypatch.context() as offline:
        offline.setenv("MASKADAPTER_OFFLINE", "1")
        count = len(hub.asked)
        assert repository.fetch() == path
        assert len(hub.asked) == count
    monkeypatch.setenv("HF_ENDPOINT", closed_port())
    assert repository.fetch() == path
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    hub.repositories["org/tiny"]["main"] = {"config.json": CONFIG, "model.safetensors": b"changed"}
    assert repository.fetch().read_bytes() == b"changed"


def test_a_revision_is_loaded(hub):
    hub.repositories["org/tiny"]["v1"] = hub.repositories["org/tiny"]["main"]
    hub.repositories["org/tiny"]["main"] = {}
    assert HubRepository.of("hf:org/tiny@v1").fetch().read_bytes() == TINY.read_bytes()
    with pytest.raises(DownloadError, match=r"hf:org/tiny@v2 does not exist: give a branch, tag or commit") as caught:
        ma.load("hf:org/tiny@v2")
    one_line(caught)


@pytest.mark.parametrize(
    "name", ["hf:", "hf:name", "hf:a/b/c", "hf:org/na--me", "hf:../name", "hf:org/name@", "hf:o/n@../x y"]
)
def test_other_forms_are_refused(hub, name):
    with pytest.raises(CheckpointError, match=r"hf:ORGANIZATION/NAME@REVISION is needed") as caught:
        ma.load(name)
    one_line(caught)
    assert not hub.asked


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, "RepoNotFound"), "has no hf:org/tiny, or does not show it to you.*hf auth login"),
        ((404, "RepoNotFound"), "has no hf:org/tiny, or does not show it to you"),
        ((403, "GatedRepo"), "open only to those who accepted its terms"),
        ((403, ""), r"cannot download config.json of hf:org/tiny: the hub answered 403; .*with a token that may"),
        ((410, ""), "cannot download config.json of hf:org/tiny: the hub answered 410"),
    ],
)
def test_a_refusal_is_one_line(hub, answer, message):
    hub.refused["org/tiny"] = answer
    with pytest.raises(DownloadError, match=message) as caught:
        ma.load("hf:org/tiny")
    one_line(caught)


def test_without_a_network_it_is_one_line(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", closed_port())
    # Version 1 of the library tries again, with a client that it has closed.
    reason = "Cannot send a request.*" if version("huggingface_hub").startswith("1.") else "Connection refused"
    message = rf"cannot download config.json of hf:org/tiny \({reason}\): check the network"
    with pytest.raises(DownloadError, match=message) as caught:
        ma.load("hf:org/tiny")
    one_line(caught)
    monkeypatch.setenv("MASKADAPTER_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="hf:org/tiny is not on this machine") as caught:
        ma.load("hf:org/tiny")
    one_line(caught)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"pytorch_model.bin": b""},
            "holds no model of this project: a repository with config.json and model.safetensors",
        ),
        (
            {"config.json": CONFIG},
            "holds no model of this project: a repository with config.json and model.safetensors",
        ),
        ({"config.json": b'{"model_type": "llama"}', "model.safetensors": b""}, 'its config.json lacks "library_name"'),
        ({"config.json": b"[" * 100_000}, "cannot read .*config.json as JSON"),
        ({"config.json": b" " * 1_000_001}, "config.json"),
        ({"config.json": CONFIG, "model.safetensors": b"\x80\x04."}, "cannot be read as safetensors"),
    ],
)
def test_a_repository_of_something_else_is_refused(hub, files, message):
    hub.repositories["org/tiny"]["main"] = files
    with pytest.raises(CheckpointError, match=message) as caught:
        ma.load("hf:org/tiny")
    one_line(caught)


def test_no_code_of_a_repository_is_fetched(hub):
    hub.repositories["org/tiny"]["main"]["modeling.py"] = b"raise SystemExit"
    config = {"library_name": "maskadapter", "auto_map": {"AutoModel": "modeling.Model"}}
    hub.repositories["org/tiny"]["main"]["config.json"] = json.dumps(config).encode()
    ma.load("hf:org/tiny")
    assert {asked.path.rpartition("/")[2] for asked in hub.asked} == {"config.json", "model.safetensors"}


def test_the_command_takes_it(hub, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["segment", str(CHELSEA), "-c", "cat, wall", "-o", str(tmp_path / "out"), "--model", "hf:org/tiny"])
    assert not stopped.value.code, capsys.readouterr().err
    assert (tmp_path / "out" / "chelsea-overlay.png").exists()


# ---- writing


@pytest.mark.slow
def test_a_model_is_published_with_a_card_and_loads_again(hub, model):
    address = ma.push_to_hub(model, "org/new", license="apache-2.0")
    assert address.startswith(f"{hub.address}/org/new/commit/")
    assert sorted(hub.repositories["org/new"]["main"]) == ["README.md", "config.json", "model.safetensors"]
    assert [path for path, _ in hub.posted if "/commit/" in path] == ["/api/models/org/new/commit/main"]
    again = ma.load("hf:org/new")
    assert isinstance(again.pooler, ma.AdapterPooler)
    with safe_open(HubRepository.of("hf:org/new").fetch(), "pt") as file:
        assert file.metadata()["license"] == "apache-2.0"
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


def test_the_card_states_what_the_file_states(hub):
    hub.ignored = {"model.safetensors"}
    ma.push_to_hub("tiny", "org/new", private=True)
    files = hub.repositories["org/new"]["main"]
    created = json.loads(next(body for path, body in hub.posted if path == "/api/repos/create"))
    assert created.get("visibility") == "private" or created["private"] is True  # the library's versions differ
    card = files["README.md"].decode()
    assert yaml.safe_load(card.split("---")[1]) == {
        "license": "apache-2.0",
        "library_name": "maskadapter",
        "pipeline_tag": "image-segmentation",
        "tags": ["open-vocabulary-segmentation", "mask-classification", "mask-adapter"],
    }
    for fact in (
        'ma.load("hf:org/new")',
        "| pooler ",
        "| pooling\n",
        "coco-panoptic, 133: person",
        "MiniLM",
        "Apache-2.0",
    ):
        assert fact in card.replace(" |\n", "\n"), fact
    config = json.loads(files["config.json"])
    assert (config["library_name"], config["model"], config["pooler"]) == ("maskadapter", "tiny", "pooling")
    assert config["inference"]["alpha"] == 0.2


def test_the_recipe_that_trained_a_file_is_on_the_card(hub, tmp_path):
    hub.ignored = {"model.safetensors"}
    path = ma.save(ma.load(), tmp_path / "m.safetensors", "tiny", trained_by="stage: mixed\ndata: my-photos\n")
    ma.push_to_hub(path, "org/new", license="mit")
    assert "```yaml\nstage: mixed\ndata: my-photos\n```" in hub.repositories["org/new"]["main"]["README.md"].decode()


def test_files_that_are_there_stay_unless_they_may_be_replaced(hub, model):
    hub.ignored = {"model.safetensors"}
    hub.repositories["org/mine"] = {"main": {"README.md": b"my words", "notes.txt": b"notes"}}
    with pytest.raises(CheckpointError, match=r"org/mine holds README.md already: give overwrite=True") as caught:
        ma.push_to_hub(model, "org/mine", license="mit")
    one_line(caught)
    assert hub.posted == []
    ma.push_to_hub(model, "org/mine", license="mit", revision="v2")  # another branch
    assert hub.repositories["org/mine"]["main"]["README.md"] == b"my words"
    assert b"# mine" in hub.repositories["org/mine"]["v2"]["README.md"]
    ma.push_to_hub(model, "org/mine", license="mit", overwrite=True)
    assert b"my words" not in hub.repositories["org/mine"]["main"]["README.md"]
    assert hub.repositories["org/mine"]["main"]["notes.txt"] == b"notes"


@pytest.mark.parametrize("name", ["name", "org/name@v1", "hf:org/", "a/b/c"])
def test_a_wrong_name_is_refused_before_anything_is_sent(hub, name):
    with pytest.raises(CheckpointError) as caught:
        ma.push_to_hub("tiny", name)
    one_line(caught)
    assert not hub.asked


def test_what_cannot_be_published_is_one_line(hub, monkeypatch):
    model = ma.load()
    hub.ignored = {"model.safetensors"}
    with pytest.raises(CheckpointError, match="the weights state no license: give it") as caught:
        ma.push_to_hub(model, "org/new")
    one_line(caught)
    with pytest.raises(CheckpointError, match="were rounded to bf16"):
        ma.push_to_hub(ma.load(precision="bf16"), "org/new", license="mit")
    model.own_layer = torch.nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match=r"the model is not tiny with pooling as ma\.load builds it: unexpected"):
        ma.push_to_hub(model, "org/new", license="mit")
    hub.refused["org/new"] = (403, "")
    with pytest.raises(DownloadError, match=r"cannot write org/new .*answered 403.*hf auth login") as caught:
        ma.push_to_hub("tiny", "org/new")
    one_line(caught)
    monkeypatch.setenv("MASKADAPTER_OFFLINE", "1")
    with pytest.raises(DownloadError, match="forbids the network"):
        ma.push_to_hub("tiny", "org/new")
    assert hub.posted == []
    assert "org/new" not in hub.repositories
