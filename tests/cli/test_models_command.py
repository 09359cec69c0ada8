"""``maskadapter models``: what is typed, what is printed, how it ends."""

import json
import os

import pytest
import torch
from file_server import Answer, Cut, FileServer, Served, closed_port
from official_files import official_state, write

import maskadapter
from maskadapter.cli import main
from maskadapter.hub.checkpoints.checkpoint import read_checkpoint
from maskadapter.hub.zoo.model_zoo import WEIGHTS, weights_of
from maskadapter.models.builder import Architecture, build
from maskadapter.paper.published import published_miou
from maskadapter.system import http_download as transfer

BASE = weights_of("maftplus-base")
DRIVE_PATH = f"/download?id={BASE.drive_id}&export=download&confirm=t"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A cache of its own, no network, and a terminal of 80 columns."""
    monkeypatch.setenv("MASKADAPTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", closed_port())
    monkeypatch.setenv("MASKADAPTER_DRIVE_ENDPOINT", closed_port())
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("MASKADAPTER_OFFLINE", "0")  # so that what --offline sets is taken back after the test
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def run(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return exit_.value.code or 0, written.out, written.err

    return run


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.pth"
    return write(path, {"model": official_state(Architecture("maftplus-base", "adapter"))}).read_bytes()


@pytest.fixture
def drive(monkeypatch, weights):
    with FileServer({DRIVE_PATH: Served(weights)}) as server:
        monkeypatch.setenv("MASKADAPTER_DRIVE_ENDPOINT", server.address)
        yield server


def test_list(run, tmp_path):
    code, out, err = run("models", "list")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80 or str(tmp_path) in out.splitlines()[-1]
    rows = [line.split() for line in out.splitlines()]
    for entry in WEIGHTS:
        facts, figures = (row for row in rows if row[:2] == [entry.model, entry.pooler])
        assert facts[-1] == "no"
        assert "Apache-2.0" in facts
        assert " ".join(facts).count(entry.size) == 1
        assert figures[2:] == [f"{value:.1f}" for value in published_miou(entry.model, entry.pooler).values()]
    assert sum(row[:1] == ["clip-convnext-large"] for row in rows) == 1
    assert str(tmp_path / "cache" / "models") in out


def test_download_list_and_download_again(run, drive, weights):
    code, out, err = run("models", "download", "maftplus-base", "--source", "drive")
    assert code == 0
    lines = err.splitlines()
    assert lines[0] == f"maftplus-base-adapter is taken from Google Drive, id {BASE.drive_id}"
    assert "the source states none; this one is recorded for later" in lines[1]
    assert out.endswith("maftplus-base-adapter.pth\n")
    assert out.count("\n") == 1
    path = out
    row = next(line for line in run("models", "list")[1].splitlines() if line.startswith("maftplus-base   "))
    assert row.rstrip().endswith("GB")
    asked = len(drive.asked)
    code, out, err = run("models", "download", "maftplus-base", "--offline")
    assert (code, out) == (0, path)
    assert err.startswith("maftplus-base-adapter is already here, from Google Drive, id ")
    code, _, err = run("models", "download", "maftplus-base", "--source", "hub")
    assert code == 2
    assert "would bring another: remove " in err
    assert len(drive.asked) == asked


def test_what_goes_wrong_is_one_line_and_exit_2(run, drive):
    drive.files["/download"] = Answer(404)
    for arguments, message in [
        (["download", "maftplus-bsae"], "did you mean 'maftplus-base'?"),
        (["download", "tiny"], "nothing to download"),
        (["download", "clip-convnext-base", "--offline"], "with a network"),
        (
            ["download", "maftplus-large", "--offline"],
            "run 'maskadapter models download maftplus-large' with a network",
        ),
        (["download", "maftplus-base", "--source", "hub"], "cannot be listed"),
        (["download", "maftplus-base", "--source", "ftp"], "--source"),
        (["check", "fcclip-large"], "run 'maskadapter models download fcclip-large'"),
        (["check", "gone.pth"], "no weights at gone.pth"),
        (["check", "tiny", "--root", "gone"], "no ade20k-150 (val) in gone"),
        (["convert", "gone.pth", "a.safetensors"], "no weights at gone.pth"),
        (["convert", "gone.pth", "a.pth"], "does not end in .safetensors"),
    ]:
        code, out, err = run("models", *arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err, arguments
        assert (err.startswith("error: "), err.count("\n")) == (True, 1), arguments
        assert drive.asked == []
        os.environ["MASKADAPTER_OFFLINE"] = "0"  # --offline holds for the rest of the process
    code, _, err = run("models", "download", "fcclip-large", "--source", "drive")
    assert code == 2
    assert "has no such file (404" in err


def test_ctrl_c_ends_with_130_and_the_next_call_goes_on(run, drive, weights, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    drive.faults.append(Cut(100_000))
    with monkeypatch.context() as patch:
        patch.setattr(transfer.time, "sleep", interrupted)
        code, _, err = run("models", "download", "maftplus-base", "--source", "drive")
    assert code == 130
    assert err.startswith("maftplus-base-adapter is taken from")
    assert run("models", "download", "maftplus-base", "--source", "drive")[0] == 0
    assert drive.ranges() == [None, "bytes=100000-"]


def test_convert(run, tmp_path):
    source = maskadapter.load()
    target = tmp_path / "t.safetensors"
    code, out, err = run("models", "convert", "tiny", target)
    assert (code, err) == (0, "")
    assert out.startswith(f"{target}: tiny with pooling, ")
    loaded = maskadapter.load(target)
    assert loaded.inference == source.inference
    for key, tensor in source.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[key]), key
    assert read_checkpoint(target).metadata["converted_from"] == "tiny.safetensors"
    whole = target.stat().st_size
    assert "exists already" in run("models", "convert", "tiny", target)[2]
    assert target.stat().st_size == whole
    assert run("models", "convert", "tiny", target, "--overwrite", "--half")[0] == 0
    assert target.stat().st_size < 0.55 * whole
    halved = maskadapter.load(target).state_dict()
    for key, tensor in source.state_dict().items():
        assert torch.allclose(tensor, halved[key], rtol=1e-3, atol=1e-6), key


def test_numbers_that_16_bits_cannot_hold_are_not_converted(run, tmp_path):
    model = build(Architecture("tiny", "pooling"))
    torch.nn.init.constant_(model.void_embedding.weight, 1e6)
    path = maskadapter.save(model, tmp_path / "big.safetensors", "tiny")
    code, _, err = run("models", "convert", path, tmp_path / "half.safetensors", "--half")
    assert code == 2
    assert "void_embedding.weight has numbers that 16 bits cannot hold" in err
    assert not (tmp_path / "half.safetensors").exists()


@pytest.mark.slow
def test_check(run, tmp_path):
    code, out, err = run("models", "check", "tiny", "--json", tmp_path / "report.json")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    findings = json.loads((tmp_path / "report.json").read_text())["findings"]
    names = ["file", "keys", "values", "norms", "chunks", "tiles", "sums", "labels", "photo"]
    assert [finding["name"] for finding in findings] == names
    assert findings[0]["figures"]["sha256"] in out
    assert {finding["name"] for finding in findings if finding["passed"] is None} == {"file", "labels"}


def test_a_failed_check_is_reported_and_exits_2(run, tmp_path):
    model = build(Architecture("tiny", "pooling"))
    torch.nn.init.constant_(model.void_embedding.weight, float("nan"))
    path = maskadapter.save(model, tmp_path / "nan.safetensors", "tiny")
    code, out, err = run("models", "check", path, "--json", tmp_path / "report.json")
    assert code == 2
    assert "failed NaN or infinite numbers in void_embedding.weight" in " ".join(out.split())
    assert err == f"error: {path}: 1 of 3 checks failed (values)\n"
    assert json.loads((tmp_path / "report.json").read_text())["findings"][-1]["passed"] is False


def test_help(run):
    code, out, err = run("models")
    assert (code, err) == (0, "")
    for word in ("list", "download", "convert", "check"):
        assert word in out
        code, text, _ = run("models", word, "--help")
        assert code == 0
        assert max(map(len, text.splitlines())) <= 80
