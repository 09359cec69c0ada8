"""Weights from servers that cut, lie, refuse and change their mind, all on this machine."""

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from file_server import Answer, Cut, FileServer, Served, closed_port
from official_files import needed, official_state, write

import maskadapter
from maskadapter.errors import CheckpointError, DownloadError, MaskAdapterError
from maskadapter.hub.checkpoints.checkpoint import write_checkpoint
from maskadapter.hub.zoo import published_files as hub
from maskadapter.hub.zoo import weight_downloads as download
from maskadapter.hub.zoo.model_zoo import CLIP_WEIGHTS, HUB_REPOSITORY, WEIGHTS, weights_of
from maskadapter.models.builder import MODELS, Architecture
from maskadapter.models.clip.clip import Clip, download_pretrained
from maskadapter.system import http_download as transfer
from maskadapter.system.cache_folder import cache_folder
from maskadapter.system.http_download import fetch

BODY = bytes(range(256)) * 12_000  # 3 MB
FCCLIP = weights_of("fcclip-large")


@pytest.fixture
def server():
    with FileServer() as server:
        yield server


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were waited, without waiting."""
    waited = []
    monkeypatch.setattr(transfer.time, "sleep", waited.append)
    return waited


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A cache of its own, and no network but the one the test opens."""
    monkeypatch.setenv("MASKADAPTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", closed_port())
    monkeypatch.setenv("MASKADAPTER_DRIVE_ENDPOINT", closed_port())
    for name in ("MASKADAPTER_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def part(tmp_path):
    return tmp_path / "model.part.pth"


@pytest.fixture
def logged(caplog):
    """The lines that the package has logged."""
    caplog.set_level("INFO", logger="maskadapter")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("maskadapter")]


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- one file over HTTP


def test_a_file_arrives_whole(server, part):
    server.files["/f"] = Served(BODY)
    fetch(f"{server.address}/f", part, "model")
    assert part.read_bytes() == BODY
    assert server.ranges() == [None]
    fetch(f"{server.address}/f", part, "model")  # complete already: the server is not asked again
    assert len(server.asked) == 1


def test_a_cut_connection_is_resumed_where_it_was_cut(server, part, waits):
    server.files["/f"] = Served(BODY)
    server.faults.extend([Cut(1_000_000), Cut(500_000)])
    fetch(f"{server.address}/f", part, "model")
    assert part.read_bytes() == BODY
    assert server.ranges() == [None, "bytes=1000000-", "bytes=1500000-"]
    assert server.asked[1].if_range == '"first"'


def test_it_is_resumed_in_a_later_call(server, part, waits, monkeypatch):
    monkeypatch.setattr(transfer, "WAITS", (0,))
    server.files["/f"] = Served(BODY)
    server.faults.extend([Cut(1_000_000), Answer(503), Answer(503)])
    with pytest.raises(DownloadError, match=r"answered 503.*1\.0 MB are kept, and the same command goes on") as caught:
        fetch(f"{server.address}/f", part, "model")
    one_line(caught)
    fetch(f"{server.address}/f", part, "model")
    assert part.read_bytes() == BODY
    assert server.ranges()[-1] == "bytes=1000000-"


@pytest.mark.parametrize("etag", ['"second"', ""])
@pytest.mark.parametrize("obeys_if_range", [True, False])
def test_a_file_that_changed_in_between_starts_anew(server, part, waits, monkeypatch, etag, obeys_if_range):
    monkeypatch.setattr(transfer, "WAITS", (0,))
    server.files["/f"] = Served(BODY)
    server.faults.extend([Cut(1_000_000), Answer(503), Answer(503)])
    with pytest.raises(DownloadError):
        fetch(f"{server.address}/f", part, "model")
    changed = BODY[::-1][:-7]
    server.files["/f"] = Served(changed, etag)
    server.obeys_if_range = obeys_if_range
    fetch(f"{server.address}/f", part, "model")
    assert part.read_bytes() == changed


def test_a_file_that_became_shorter_starts_anew(server, part, waits):
    server.files["/f"] = Served(BODY)
    server.faults.extend([Cut(1_000_000)] + [Answer(503)] * 9)
    with pytest.raises(DownloadError):
        fetch(f"{server.address}/f", part, "model")
    server.faults.clear()
    server.files["/f"] = Served(BODY[:1000], "")
    server.obeys_if_range = False
    fetch(f"{server.address}/f", part, "model")
    assert part.read_bytes() == BODY[:1000]


def test_a_server_without_ranges_sends_all_of_it_again(server, part, waits):
    server.files["/f"], server.obeys_range = Served(BODY), False
    server.faults.append(Cut(1_000_000))
    fetch(f"{server.address}/f", part, "model")
    assert part.read_bytes() == BODY


def test_a_server_that_always_cuts_at_the_same_place_is_given_up(server, part, waits):
    server.files["/f"], server.obeys_range = Served(BODY), False
    server.faults.extend([Cut(1_000_000)] * 99)
    with pytest.raises(DownloadError, match="the connection was cut, 5 tries; 1"):
        fetch(f"{server.address}/f", part, "model")


def test_a_busy_server_is_tried_again_with_growing_patience(server, part, waits):
    server.files["/f"] = Served(BODY)
    server.faults.extend([Answer(500), Answer(429), Answer(503)])
    fetch(f"{server.address}/f", part, "model")
    assert part.read_bytes() == BODY
    assert waits == [1, 2, 4]
    server.faults.extend([Answer(500)] * 9)
    with pytest.raises(DownloadError, match=r"answered 500 Internal Server Error, 5 tries$"):
        fetch(f"{server.address}/f?", part.with_name("other"), "model")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(404), "has no such file"),
        (Answer(403), "refuses it.*browser"),
        (Answer(410), "sent 410 Gone"),
        (Answer(200, b"<title>Google Drive - Virus scan warning</title><form>", "text/html"), "did not scan the file"),
        (Answer(200, b"<p class='uc-error-caption'>Quota exceeded</p>", "text/html; charset=utf-8"), "too many people"),
        (Answer(403, b"<p>Too many users have viewed or downloaded", "text/html"), "too many people"),
        (Answer(200, b"<title>Sign in</title><style>p {x: 1}</style>", "text/html"), "web page instead.*'Sign in'"),
    ],
)
def test_what_is_not_a_file_is_reported_in_one_line_and_not_kept(server, part, answer, message):
    server.files["/f"] = answer
    with pytest.raises(DownloadError, match=message) as caught:
        fetch(f"{server.address}/f", part, "model")
    one_line(caught)
    assert not part.exists()
    assert len(server.asked) == 1


def test_no_network(part, waits):
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:\d+ cannot be reached \(Connection refused\)") as caught:
        fetch(f"{closed_port()}/f", part, "model")
    one_line(caught)
    assert waits == []
    with pytest.raises(DownloadError, match=r"nowhere\.invalid cannot be reached.*HTTPS_PROXY"):
        fetch("https://nowhere.invalid/f", part, "model")


def test_a_silent_server_is_given_up(part, waits, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.05)
    monkeypatch.setattr(transfer, "WAITS", (0,))
    with transfer.socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DownloadError, match=r"silent|timed"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/f", part, "model")


def test_addresses_that_are_no_web_addresses(part, tmp_path):
    (tmp_path / "secret").write_text("secret")
    for address in (f"file://{tmp_path}/secret", "ftp://server/f", "nowhere", "https:///f"):
        with pytest.raises(DownloadError, match="starts with https://"):
            fetch(address, part, "model")


def test_redirects_are_followed_but_not_without_end_and_not_away_from_https(server, part):
    server.files |= {"/a": Answer(302, location="/b"), "/b": Answer(307, location="/c"), "/c": Served(BODY)}
    fetch(f"{server.address}/a", part, "model")
    assert part.read_bytes() == BODY
    server.files["/round"] = Answer(302, location="/round")
    with pytest.raises(DownloadError, match="redirects without end"):
        fetch(f"{server.address}/round", part.with_name("b"), "model")
    server.files["/file"] = Answer(302, location="file:///etc/passwd")
    with pytest.raises(DownloadError, match="to no web address"):
        fetch(f"{server.address}/file", part.with_name("c"), "model")
    handler = transfer._Redirects(allow_http=False)
    request = transfer.Request("https://good.example/f")
    with pytest.raises(DownloadError, match="not https"):
        handler.redirect_request(request, io.BytesIO(), 302, "", {}, "http://good.example/f")
    assert handler.redirect_request(request, io.BytesIO(), 302, "", {}, "https://other.example/f") is not None


def test_a_full_disk_is_reported_before_and_while_it_happens(server, part, monkeypatch):
    server.files["/f"] = Served(BODY)
    with monkeypatch.context() as patch:
        patch.setattr(transfer.shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(1_000_000))
        with pytest.raises(DownloadError, match=r"0\.00 GB left.*MASKADAPTER_CACHE"):
            fetch(f"{server.address}/f", part, "model")
    assert not part.exists()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transfer, "_copy", full)
    with pytest.raises(DownloadError, match="No space left on device; the disk is full") as caught:
        fetch(f"{server.address}/f", part, "model")
    one_line(caught)


def test_ctrl_c_keeps_what_has_arrived(server, part, monkeypatch):
    server.files["/f"] = Served(BODY)

    @contextmanager
    def impatient(what, total, done=0, in_bytes=False):
        assert (what, total, in_bytes) == ("model", len(BODY), True)

        def step(count):
            raise KeyboardInterrupt

        yield step

    with monkeypatch.context() as patch:
        patch.setattr(transfer.progress, "bar", impatient)
        with pytest.raises(KeyboardInterrupt):
            fetch(f"{server.address}/f", part, "model")
    kept = part.stat().st_size
    assert 0 < kept < len(BODY)
    fetch(f"{server.address}/f", part, "model")
    assert server.ranges() == [None, f"bytes={kept}-"]
    assert part.read_bytes() == BODY


def test_bytes_of_another_address_are_not_continued(server, part, waits, monkeypatch):
    monkeypatch.setattr(transfer, "WAITS", (0,))
    server.files |= {"/f": Served(BODY), "/g": Served(BODY[::-1])}
    server.faults.extend([Cut(1_000_000), Answer(503), Answer(503)])
    with pytest.raises(DownloadError):
        fetch(f"{server.address}/f", part, "model")
    fetch(f"{server.address}/g", part, "model")
    assert part.read_bytes() == BODY[::-1]


# ---- from a source to the cache


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """Small files with the keys and shapes of the published ones: bytes by model and pooler."""
    folder, files = tmp_path_factory.mktemp("official"), {}
    for weights in WEIGHTS:
        state = official_state(Architecture(weights.model, weights.pooler))
        files[weights.model, weights.pooler] = write(folder / "m.pth", {"model": state}).read_bytes()
    return files


@pytest.fixture
def drive(server, monkeypatch, official):
    monkeypatch.setenv("MASKADAPTER_DRIVE_ENDPOINT", server.address)
    for weights in WEIGHTS:
        path = f"/download?id={weights.drive_id}&export=download&confirm=t"
        server.files[path] = Served(official[weights.model, weights.pooler], "")
    return server


NAMES = {
    "fcclip_convnext_large_maskadapter.pth": ("fcclip-large", "adapter"),
    "maftp_convnext_base_maskadapter.pth": ("maftplus-base", "adapter"),
    "maftp_convnext_large_maskadapter.pth": ("maftplus-large", "adapter"),
}


@pytest.fixture
def hugging_face(server, monkeypatch, official):
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    server.add_repository(HUB_REPOSITORY, {**{n: official[k] for n, k in NAMES.items()}, "README.md": b"words"})
    return server


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda weights: weights.stem)
def test_every_model_comes_from_drive(drive, official, weights, logged):
    path = hub.fetch(weights, "drive")
    assert path == download.models_folder() / f"{weights.stem}.pth" == download.present(weights)
    assert path.read_bytes() == official[weights.model, weights.pooler]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    record = download.read_record(path)
    assert (record.sha256, record.stated, record.size) == (sha256, False, path.stat().st_size)
    assert logged()[-1] == f"sha256 {sha256}: the source states none; this one is recorded for later"
    names = {entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")}
    assert names == {path.name, f"{path.name}.json"}


@pytest.mark.parametrize("weights", [w for w in WEIGHTS if w.hub_words], ids=lambda weights: weights.stem)
def test_the_hub_is_taken_where_one_file_fits(hugging_face, official, weights, logged):
    path = hub.fetch(weights)
    assert path.read_bytes() == official[weights.model, weights.pooler]
    assert "is taken from Hugging Face owl10/Mask-Adapter, " in logged()[0]
    assert logged()[-1].endswith("as the source states it")
    assert download.read_record(path).stated
    assert [entry for entry in path.parent.iterdir() if entry.is_dir()] == []


def test_pooling_files_are_not_looked_for_on_the_hub(drive, logged):
    path = hub.fetch(weights_of("fcclip-large", "pooling"))
    assert len(logged()) == 2  # nothing about a hub that was passed over
    assert path.name == "fcclip-large-pooling.pth"
    assert len(drive.asked) == 1


def test_without_the_hub_drive_is_taken_and_logged(drive, logged):
    hub.fetch(FCCLIP)
    assert "cannot be listed" in logged()[0]
    assert logged()[0].endswith("Google Drive is tried instead.")
    with pytest.raises(DownloadError, match="owl10/Mask-Adapter cannot be listed") as caught:
        hub.fetch(FCCLIP, "hub")
    one_line(caught)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.pth", "b.bin", "notes.txt"], r"has no file that fits.*--file NAME; it holds a\.pth, b\.bin$"),
        (["FC-CLIP_Large_1.pth", "FC-CLIP_Large_2.pth"], "has 2 files that fit.*FC-CLIP_Large_1.pth, FC-CLIP_Large_2"),
        ([], "it holds no weights"),
    ],
)
def test_when_not_exactly_one_file_of_the_hub_fits(server, monkeypatch, official, names, message):
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    body = official["fcclip-large", "adapter"]
    server.add_repository(HUB_REPOSITORY, dict.fromkeys(names, body))
    with pytest.raises(DownloadError, match=message) as caught:
        hub.fetch(FCCLIP, "hub")
    one_line(caught)
    if names:
        assert hub.fetch(FCCLIP, file=names[0]).read_bytes() == body
    with pytest.raises(DownloadError, match=r"has no file 'other\.pth'"):
        hub.fetch(FCCLIP, file="other.pth")


def test_a_hub_that_lists_a_file_and_does_not_send_it(hugging_face, logged):
    for path in list(hugging_face.files):
        if path.startswith(("/cdn/", f"/{HUB_REPOSITORY}/resolve/")):
            hugging_face.files[path] = Answer(404)
    with pytest.raises(
        DownloadError, match=r"cannot download fcclip_.*pth from the Hugging Face.*--source drive$"
    ) as caught:
        hub.fetch(FCCLIP, "hub")
    one_line(caught)
    assert download.present(FCCLIP) is None


def test_the_other_source_is_advised(drive):
    drive.files[next(key for key in drive.files if FCCLIP.drive_id in key)] = Answer(403)
    with pytest.raises(DownloadError, match=r"refuses it.*--source hub"):
        hub.fetch(FCCLIP, "drive")


def test_names_that_fit():
    fits = download._fits
    for name in ("FC-CLIP_ConvNeXt-Large.pth", "weights/fcclip_large.safetensors"):
        assert fits(name, ("fcclip", "large"))
    assert not fits("fcclip_base.pth", ("fcclip", "large"))
    assert not fits("anything.pth", ())


def test_a_file_and_drive_do_not_go_together():
    with pytest.raises(DownloadError, match="leave one of them out"):
        hub.fetch(FCCLIP, "drive", file="a.pth")


def test_a_wrong_checksum_is_not_kept(server, monkeypatch, official):
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    body = official["fcclip-large", "adapter"]
    server.add_repository(HUB_REPOSITORY, {"fcclip_large.pth": body}, stated={"fcclip_large.pth": "0" * 64})
    with pytest.raises(DownloadError, match=r"000000000000\.\.\. is stated.*not kept") as caught:
        hub.fetch(FCCLIP)
    one_line(caught)
    assert download.present(FCCLIP) is None
    assert [entry for entry in download.models_folder().iterdir() if not entry.name.startswith(".")] == []


def test_a_source_that_states_no_checksum_is_held_to_its_first_file(drive, official):
    path = hub.fetch(FCCLIP, "drive")
    path.unlink()
    hub.fetch(FCCLIP, "drive").unlink()  # the same again
    key = next(key for key in drive.files if FCCLIP.drive_id in key)
    state = official_state(Architecture("fcclip-large", "adapter"), seed=1)
    content = io.BytesIO()
    torch.save({"model": state}, content)
    drive.files[key] = Served(content.getvalue(), "")
    with pytest.raises(DownloadError, match=r"the first download had .*remove .*fcclip-large-adapter\.pth\.json"):
        hub.fetch(FCCLIP, "drive")
    assert download.present(FCCLIP) is None
    path.with_name(f"{path.name}.json").unlink()
    assert hub.fetch(FCCLIP, "drive").read_bytes() == content.getvalue()


def test_another_model_is_not_kept(drive, official):
    key = next(key for key in drive.files if FCCLIP.drive_id in key)
    for held in (("maftplus-base", "adapter"), ("fcclip-large", "pooling")):
        drive.files[key] = Served(official[held], "")
        with pytest.raises(CheckpointError, match=f"holds {held[0]} with {held[1]}, not fcclip-large") as caught:
            hub.fetch(FCCLIP, "drive")
        one_line(caught)
    drive.files[key] = Served(b"no weights", "")
    with pytest.raises(CheckpointError, match="damaged"):
        hub.fetch(FCCLIP, "drive")
    assert [entry for entry in download.models_folder().iterdir() if not entry.name.startswith(".")] == []


@pytest.mark.parametrize("variable", ["MASKADAPTER_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_requested_and_the_error_has_the_command(drive, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    command = "run 'maskadapter models download fcclip-large --pooler pooling' with a network"
    with pytest.raises(CheckpointError, match=command) as caught:
        maskadapter.load("fcclip-large", pooler="pooling")
    one_line(caught)
    assert drive.asked == []


def test_load_downloads_once_and_finds_the_file_from_then_on(drive):
    model = maskadapter.load("maftplus-base")
    assert type(model.pooler).__name__ == "AdapterPooler"
    asked = len(drive.asked)
    maskadapter.load("maftplus-base")
    assert len(drive.asked) == asked
    assert type(maskadapter.load("maftplus-base", pooler="pooling").pooler).__name__ == "MaskPooling"
    assert download.present(weights_of("maftplus-base", "pooling"))


def test_an_adapter_is_joined_to_the_segmenters_own_file(drive, tmp_path):
    segmenter = official_state(Architecture("maftplus-base", "pooling"))
    warmup = official_state(Architecture("maftplus-base", "adapter", generator=False), seed=1)
    warmup |= {key: value for key, value in segmenter.items() if key.startswith(("backbone.", "cdt."))}
    model = maskadapter.load("maftplus-base", adapter=write(tmp_path / "warmup.pth", {"model": warmup}))
    assert type(model.pooler).__name__ == "AdapterPooler"
    assert download.present(weights_of("maftplus-base", "pooling"))
    assert download.present(weights_of("maftplus-base", "adapter")) is None


def test_several_that_want_one_file_at_once_get_it(drive):
    paths, threads = [], []
    for _ in range(3):
        threads.append(threading.Thread(target=lambda: paths.append(hub.fetch(FCCLIP, "drive"))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3
    assert download.sha256_of(paths[0]) == download.read_record(paths[0]).sha256
    assert sum(asked.path.startswith("/download") for asked in drive.asked) == 1


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, drive):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MASKADAPTER_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"cannot make .*set MASKADAPTER_CACHE"):
        hub.fetch(FCCLIP, "drive")


def test_records_that_are_damaged_count_as_none(tmp_path):
    path = tmp_path / "m.pth"
    for text in ("", "[]", '{"place": 1}'):
        (tmp_path / "m.pth.json").write_text(text)
        assert download.read_record(path) is None
    with pytest.raises(MaskAdapterError, match="cannot read"):
        download.sha256_of(path)


# ---- names and places


def test_the_catalog_agrees_with_the_models():
    units = {"GB": 1e9, "MB": 1e6}
    for weights in WEIGHTS:
        number, unit = weights.size.rstrip("+").split()
        shapes = needed(Architecture(weights.model, weights.pooler))
        tensors = 4 * sum(torch.Size(shape).numel() for shape in shapes.values())
        if weights.size.endswith("+"):
            expected = tensors
        else:  # AdamW's two values for every number of the adapter, which training left in the file
            adapter = [shape for key, shape in shapes.items() if key.startswith("pooler.")]
            expected = tensors + 8 * sum(torch.Size(shape).numel() for shape in adapter)
        assert float(number) * units[unit] == pytest.approx(expected, rel=0.005), weights.stem
        assert weights.clip in CLIP_WEIGHTS
    assert len({weights.drive_id for weights in WEIGHTS}) == len(WEIGHTS)
    assert {(weights.model, weights.pooler) for weights in WEIGHTS} == {
        (name, pooler) for name in MODELS if not name.startswith("tiny") for pooler in ("adapter", "pooling")
    }


def test_the_clip_encoders_are_open_clips():
    import open_clip

    for image_encoder in CLIP_WEIGHTS.values():
        assert (
            open_clip.get_pretrained_cfg(image_encoder.config, image_encoder.tag)["hf_hub"]
            == f"{image_encoder.repository}/"
        )


def test_a_name_that_is_nearly_right_is_suggested():
    with pytest.raises(CheckpointError, match="did you mean 'fcclip-large'"):
        weights_of("fc-clip-large")
    with pytest.raises(CheckpointError, match=r"choose from fcclip-large, .*clip-convnext-base"):
        weights_of("yolo")
    with pytest.raises(CheckpointError, match="nothing to download"):
        weights_of("tiny")
    with pytest.raises(CheckpointError, match="no weights of tiny-mask2former are published: train them"):
        maskadapter.load("tiny-mask2former")
    with pytest.raises(CheckpointError, match="choose adapter or pooling"):
        weights_of("fcclip-large", "crop")
    with pytest.raises(CheckpointError, match=r"did you mean 'maftplus-base'.*path of a file"):
        maskadapter.load("mafplus-base")


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MASKADAPTER_CACHE", "~/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("MASKADAPTER_CACHE", "")
    assert cache_folder() == Path("/xdg/maskadapter")
    monkeypatch.delenv("XDG_CACHE_HOME")
    for platform, path in [("linux", ".cache/maskadapter"), ("darwin", "Library/Caches/maskadapter")]:
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_folder() == tmp_path / path
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "maskadapter" / "cache"


# ---- CLIP encoders, through open_clip


@pytest.fixture
def small_clip(tmp_path):
    """A CLIP of open_clip that is small enough for a test: its name, and weights in a file."""
    import open_clip

    from maskadapter.models.builder import TINY_CLIP

    text = {**TINY_CLIP["text_cfg"], "width": 64, "heads": 2, "layers": 1}
    config = tmp_path / "small_clip_for_a_test.json"
    config.write_text(json.dumps({**TINY_CLIP, "text_cfg": text}))
    open_clip.add_model_config(config)
    clip = Clip.build(config.stem)
    path = tmp_path / "open_clip_model.safetensors"
    write_checkpoint(path, clip.model.state_dict(), {})
    return config.stem, path, clip


def test_a_pretrained_encoder_is_loaded_exactly(small_clip, tmp_path):
    name, path, clip = small_clip
    loaded = Clip.pretrained(name, path, templates=("{}",))
    assert loaded.templates == ("{}",)
    for key, tensor in clip.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[key]), key
    state = clip.model.state_dict()
    state.pop("logit_scale")
    write_checkpoint(tmp_path / "less.safetensors", state, {})
    with pytest.raises(CheckpointError, match="does not hold open_clip's small_clip_for_a_test") as caught:
        Clip.pretrained(name, tmp_path / "less.safetensors")
    one_line(caught)
    with pytest.raises(DownloadError, match="open_clip has no weights 'nonsense'"):
        Clip.pretrained(name, "nonsense")


def test_an_encoder_that_cannot_be_downloaded_gives_one_line(monkeypatch):
    import open_clip

    def refuse(known):
        raise FileNotFoundError("Failed to download file\nLast error: no network")

    monkeypatch.setattr(open_clip, "download_pretrained", refuse)
    with pytest.raises(DownloadError, match=r"cannot download convnext_base_w_320 .*Last error: no network") as caught:
        download_pretrained("convnext_base_w_320", "laion_aesthetic_s13b_b82k_augreg")
    one_line(caught)


def test_an_encoder_comes_from_the_hub_through_open_clip(server, tmp_path):
    """In a process of its own: huggingface_hub reads HF_ENDPOINT when it is imported."""
    image_encoder = CLIP_WEIGHTS["clip-convnext-base"]
    server.add_repository(image_encoder.repository, {"open_clip_pytorch_model.bin": b"weights"})
    environment = {**os.environ, "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hf"), "COLUMNS": "80"}
    command = [sys.executable, "-m", "maskadapter", "models", "download", "clip-convnext-base"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]).read_bytes() == b"weights"
    listed = subprocess.run([*command[:4], "list"], env=environment, capture_output=True, text=True, check=False)
    assert [line.split()[-1] for line in listed.stdout.splitlines() if line.startswith("clip-")] == ["yes", "no"]
    offline = {**environment, "MASKADAPTER_OFFLINE": "1"}
    again = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (0, done.stdout.splitlines()[-1] + "\n")
