"""A film goes in, and a film, COCO's JSON and MOT's text come out."""

import gc
import json
import os
import signal
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av", reason="the extra [video] is not installed")

from films import COLORS, GROUND, RATE, Colored, crossing, decoded, write_film  # noqa: E402
from many import contents  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402

from maskadapter.errors import MaskAdapterError  # noqa: E402
from maskadapter.pipelines.video import VideoFile, segment_video, write_segmented_video  # noqa: E402
from maskadapter.system.memory import resident_bytes  # noqa: E402

CLASSES = "ball, ground"
RUN = {"classes": CLASSES, "things": ["ball"]}


@pytest.fixture
def film(tmp_path):
    return write_film(tmp_path / "film.mp4", crossing(), sound="aac")


def mot(path):
    return [line.split(",") for line in path.read_text().splitlines()]


def test_two_things_that_cross_keep_their_ids(film, tmp_path):
    report = write_segmented_video(Colored(), film, output=tmp_path / "out", **RUN)
    _, coco, text = report.files
    assert (report.frames, report.notes) == (40, ())
    assert report.things == {"ball": 2}
    red = [line for line in mot(text) if line[1] == "1"]
    blue = [line for line in mot(text) if line[1] == "2"]
    assert len(red) == 40
    assert [int(line[2]) for line in red] == sorted(int(line[2]) for line in red)  # it goes to the right
    assert (int(blue[0][2]), int(blue[-1][2])) == (81, 1)
    seen = COCO()
    seen.dataset = json.loads(coco.read_text())
    seen.createIndex()
    assert len(seen.imgs) == 40
    ids = {one.get("track_id") for one in seen.dataset["annotations"] if one["category_id"] == 1}
    assert ids == {1, 2}
    ground = [one for one in seen.dataset["annotations"] if one["category_id"] == 2]
    assert len(ground) == 40
    assert not any("track_id" in one for one in ground)
    assert all(seen.annToMask(one).sum() == one["area"] for one in seen.dataset["annotations"][:9])
    assert [image["time"] for image in seen.dataset["images"]] == pytest.approx(np.arange(40) / 25)
    assert set(contents(tmp_path / "out")) == {path.name for path in report.files}


def test_the_new_film_has_the_frames_and_times_of_the_old_one_and_its_sound(film, tmp_path):
    video, *_ = write_segmented_video(Colored(), film, output=tmp_path / "new.mp4", **RUN).files
    assert video == tmp_path / "new.mp4"
    (before, old), (now, new) = decoded(film), decoded(video)
    assert now == pytest.approx(before)
    assert old[0].shape == new[0].shape
    with av.open(str(film)) as one, av.open(str(video)) as other:
        assert (other.streams.video[0].codec_context.name, other.streams.video[0].pix_fmt) == ("h264", "yuv420p")
        sounds = [b"".join(bytes(packet) for packet in file.demux(audio=0)) for file in (one, other)]
        times = [[packet.pts for packet in file.demux(audio=0)] for file in map(av.open, map(str, (film, video)))]
    assert sounds[0] == sounds[1] != b""
    assert times[0] == times[1]


def test_a_class_has_its_color_in_every_frame_and_the_rest_stays_as_it_is(film, tmp_path):
    model = Colored()
    video, *_ = write_segmented_video(model, film, "ball", tmp_path / "new.mp4", "overlay", ["ball"], score=0.95).files
    _, images = decoded(video)  # nothing is left to be drawn: the film itself
    for old, new in zip(decoded(film)[1], images, strict=True):
        assert np.abs(old.astype(int) - new).mean() < 3  # of 255: colors go through H.264 and back, twice
    video, *_ = write_segmented_video(model, film, **RUN, output=tmp_path / "drawn.mp4", formats="overlay").files
    corners = np.array([image[-1, 48] for image in decoded(video)[1]], int)
    assert np.abs(corners - GROUND).max() > 20
    assert corners.std(axis=0).max() < 4


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_variable_frame_rate(tmp_path, suffix, every):
    times = np.cumsum([0, *np.random.default_rng(0).integers(20, 90, 39)]).tolist()
    film = write_film(tmp_path / "film.mp4", crossing(), times, Fraction(1, 1000))
    run = {**RUN, "output": tmp_path / f"new{suffix}", "every": every}
    video, coco, _ = write_segmented_video(Colored(), film, **run).files
    assert decoded(video)[0] == pytest.approx(decoded(film)[0], abs=0.0011 if suffix == ".mkv" else 1e-6)
    assert [one["time"] for one in json.loads(coco.read_text())["images"]] == pytest.approx(decoded(film)[0])


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_film_is_seen_and_written_upright(tmp_path, degrees, mirrored):
    frames = list(crossing(4))
    for frame in frames:
        frame[:16, :16] = COLORS["red"]  # a corner that shows which way it is turned
    film = write_film(tmp_path / "film.mp4", frames, turn=(degrees, mirrored))
    expected = np.rot90(frames[0], degrees // 90)  # counterclockwise
    expected = expected[:, ::-1] if mirrored else expected
    for path in (film, write_segmented_video(Colored(), film, "x", tmp_path / "new.mp4", score=0.99).files[0]):
        with VideoFile(path) as video:
            images = [frame.image for frame in video.frames()]
        assert len(images) == 4
        assert images[0].shape == expected.shape
        assert np.abs(images[0].astype(int) - expected).mean() < 6
    assert not any(frame.rotation for frame in av.open(str(tmp_path / "new.mp4")).decode(video=0))


@pytest.mark.parametrize("size", [(64, 96), (63, 95)])
def test_ten_bits_and_odd_sizes(tmp_path, size):
    film = write_film(tmp_path / "film.mkv", crossing(12, size), codec="ffv1", pix_fmt="yuv444p10le")
    report = write_segmented_video(Colored(), film, output=tmp_path / "new.mp4", **RUN)
    times, images = decoded(report.files[0])
    assert images[0].shape[:2] == (64, 96)
    assert len(times) == 12
    image = json.loads(report.files[1].read_text())["images"][0]
    assert (image["height"], image["width"]) == size


def test_pixels_that_are_not_square_stay_so(tmp_path):
    film = write_film(tmp_path / "film.mp4", crossing(4), sample_aspect_ratio=Fraction(4, 3), turn=(90, False))
    video, *_ = write_segmented_video(Colored(), film, output=tmp_path / "new.mp4", **RUN).files
    with av.open(str(video)) as file:
        assert file.streams.video[0].sample_aspect_ratio == Fraction(3, 4)


@pytest.mark.parametrize(("sound", "source"), [("mp2", ".mpg"), ("aac", ".ts"), ("aac", ".mkv")])
def test_sound_of_other_containers(tmp_path, sound, source):
    codec, base = ("mpeg2video", Fraction(1, 25)) if source == ".mpg" else ("libx264", Fraction(1, 1000))
    film = write_film(tmp_path / f"film{source}", crossing(), codec=codec, time_base=base, sound=sound)
    report = write_segmented_video(Colored(), film, output=tmp_path / "new.mp4", **RUN)
    assert report.notes == ()
    (old, _), (new, _) = decoded(film), decoded(report.files[0])
    assert np.diff(new) == pytest.approx(np.diff(old), abs=1e-4)
    with av.open(str(film)) as one, av.open(str(report.files[0])) as other:
        starts = [float(file.streams.audio[0].start_time * file.streams.audio[0].time_base) for file in (one, other)]
        seconds = [sum(len(frame.to_ndarray()[0]) for frame in file.decode(audio=0)) / RATE for file in (one, other)]
    assert starts[0] - old[0] == pytest.approx(starts[1] - new[0], abs=0.002)
    assert seconds[1] == pytest.approx(seconds[0], abs=0.2)


def test_sound_that_the_container_cannot_hold_is_left_out_and_named(tmp_path):
    film = write_film(tmp_path / "film.mkv", crossing(), sound="wavpack")
    report = write_segmented_video(Colored(), film, output=tmp_path / "new.mov", **RUN)
    assert report.notes[0].startswith("the sound (wavpack) is left out")
    assert len(decoded(report.files[0])[0]) == 40
    kept = write_segmented_video(Colored(), film, output=tmp_path / "kept.mkv", **RUN)
    assert kept.notes == ()
    assert av.open(str(kept.files[0])).streams.audio[0].codec_context.name == "wavpack"


def test_every_third_frame_is_seen_and_its_masks_are_carried_on(film, tmp_path):
    model = Colored()
    frames = list(segment_video(model, film, **RUN, every=3))
    assert model.seen == 14
    assert [frame.carried for frame in frames[:4]] == [False, True, True, False]
    assert [frame.index for frame in frames] == list(range(40))
    assert [segment.box for segment in frames[1].result] == [segment.box for segment in frames[0].result]
    assert frames[1].tracks == frames[0].tracks
    assert (frames[1].result.image != frames[0].result.image).any()
    assert frames[1].result.semantic().tolist() == frames[0].result.semantic().tolist()
    report = write_segmented_video(Colored(), film, output=tmp_path, every=3, **RUN)
    images = json.loads(report.files[1].read_text())["images"]
    assert [image["carried"] for image in images[:4]] == [False, True, True, False]
    assert report.things == {"ball": 2}


def test_frames_from_anywhere():
    frames = list(segment_video(Colored(), list(crossing())[:5], **RUN))
    assert [frame.time for frame in frames] == [None] * 5
    assert [set(frame.tracks.values()) for frame in frames] == [{1, 2}] * 5
    with pytest.raises(MaskAdapterError, match="frame 1 has 10 x 8 pixels, and those before 96 x 64"):
        list(segment_video(Colored(), [next(crossing(5)), np.zeros((8, 10, 3), np.uint8)], **RUN))


def test_frames_are_read_one_at_a_time_and_none_is_kept():
    made = []

    def frames():
        for image in crossing(6):
            made.append(len(made))
            yield image

    found = segment_video(Colored(), frames(), **RUN)
    assert made == []
    next(found)
    next(found)
    assert made == [0, 1]


def test_a_model_that_prunes_has_no_embeddings_to_compare(film):
    frames = list(segment_video(Colored(embeddings=False), film, **RUN))
    assert {id for frame in frames for id in frame.tracks.values()} >= {1, 2}


@pytest.mark.parametrize(("options", "message"), [({"every": 0}, "every is 0"), ({"score": 2}, "score is 2")])
def test_numbers_that_cannot_be(film, options, message):
    with pytest.raises(MaskAdapterError, match=message):
        next(segment_video(Colored(), film, **RUN, **options))


def test_what_exists_is_not_overwritten(film, tmp_path):
    (tmp_path / "film-tracks.json").write_text("mine")
    with pytest.raises(MaskAdapterError, match=r"film-tracks\.json exists already"):
        write_segmented_video(Colored(), film, output=tmp_path, **RUN)
    assert (tmp_path / "film-tracks.json").read_text() == "mine"
    write_segmented_video(Colored(), film, output=tmp_path, overwrite=True, **RUN)
    assert json.loads((tmp_path / "film-tracks.json").read_text())
    with pytest.raises(MaskAdapterError, match="is the video itself"):
        write_segmented_video(Colored(), film, output=film, overwrite=True, **RUN)


@pytest.mark.parametrize(
    ("output", "formats", "message"),
    [
        ("new.avi", "overlay", r"H\.264 is written to \.mp4, \.mkv, \.mov"),
        ("out", "gif", "unknown format 'gif'"),
        ("out", "", "unknown format ''"),
        ("out", (), "nothing to save"),
        ("s3://out/new.mp4", "mot", "is an address"),
        ("film.mp4/out", "mot", "is not a folder"),
    ],
)
def test_outputs_that_cannot_be(film, tmp_path, output, formats, message):
    place = output if ":" in output else tmp_path / output
    with pytest.raises(MaskAdapterError, match=message):
        write_segmented_video(Colored(), film, output=place, formats=formats, **RUN)
    assert list(contents(tmp_path)) == ["film.mp4"]


class Stopping(Colored):
    """Is interrupted, or fails, at its tenth image."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    def encode_image(self, image, masks=None):
        if self.seen == 10:
            raise self._error
        return super().encode_image(image, masks)


def test_what_was_done_before_an_interrupt_is_kept_under_another_name(film, tmp_path):
    with pytest.raises(KeyboardInterrupt, match=r"stopped: 10 of 40 frames are done: .*film-overlay-stopped\.mp4"):
        write_segmented_video(Stopping(KeyboardInterrupt()), film, output=tmp_path / "out", **RUN)
    names = ["film-overlay-stopped.mp4", "film-tracks-stopped.json", "film-tracks-stopped.txt"]
    assert sorted(contents(tmp_path / "out")) == names
    assert len(decoded(tmp_path / "out" / names[0])[0]) == 10
    with av.open(str(tmp_path / "out" / names[0])) as file:
        assert 0.2 < sum(packet.duration or 0 for packet in file.demux(audio=0)) / RATE < 0.7  # of 1.6 s
    assert len(json.loads((tmp_path / "out" / names[1]).read_text())["images"]) == 10


class InterruptedAtLine:
    """Sends Ctrl-C before the given line, counted from 1, that is executed in the modules which write files."""

    MODULES = ("result_files.py", "coco_tracks.py", "mot_tracks.py", "video_writer.py", "frame_overlay.py")

    def __init__(self, line):
        self.line, self.count = line, 0

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.endswith(self.MODULES):
            return None
        if event == "line":
            self.count += 1
            if self.count == self.line:
                signal.raise_signal(signal.SIGINT)
        return self


def frames_of(folder):
    """Frames in each of the three files."""
    (video,), (coco,), (text,) = (list(folder.glob(f"*{suffix}")) for suffix in (".mp4", ".json", ".txt"))
    read = json.loads(coco.read_text())
    assert {one["image_id"] for one in read["annotations"]} == {one["id"] for one in read["images"]}
    lines = text.read_text()
    assert lines.endswith("\n")
    return len(decoded(video)[0]), len(read["images"]), len({line.split(",")[0] for line in lines.splitlines()})


def test_an_interrupt_at_any_line_leaves_whole_frames_in_every_file(tmp_path):
    film = write_film(tmp_path / "film.mp4", crossing(3))
    lines, done = 1, set()
    while True:
        tracer, folder = InterruptedAtLine(lines), tmp_path / f"line-{lines}"
        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            write_segmented_video(Colored(), film, output=folder, **RUN)
            stopped = False
        except KeyboardInterrupt as stop:
            stopped = str(stop)
        finally:
            sys.settrace(before)
        if tracer.count < lines:
            break
        if list(contents(folder)):  # there is nothing before the first frame
            (count,) = set(frames_of(folder))
            assert stopped in (False, "") or f"stopped: {count} of 3 frames" in stopped  # "": all was done
            done.add(count)
        lines += 9
    assert done == {1, 2, 3}
    assert lines > 200


@pytest.mark.parametrize("error", [RuntimeError("fault"), MaskAdapterError("line")])
def test_nothing_is_left_after_an_error(film, tmp_path, error):
    with pytest.raises(type(error)):
        write_segmented_video(Stopping(error), film, output=tmp_path / "out", **RUN)
    assert list(contents(tmp_path)) == ["film.mp4"]
    model = Stopping(KeyboardInterrupt())
    model.seen = 10
    with pytest.raises(KeyboardInterrupt, match=r"stopped: 0 of 40 frames are done$"):
        write_segmented_video(model, film, output=tmp_path / "out", **RUN)
    assert list(contents(tmp_path)) == ["film.mp4"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_a_full_disk_is_one_line(film, tmp_path, monkeypatch):
    original = av.open

    def full(name, mode="r", **options):
        place = {"file": "/dev/full", "format": "matroska"} if mode == "w" else {"file": name}
        return original(**place, mode=mode, **(options if mode == "r" else {}))

    monkeypatch.setattr(av, "open", full)
    with pytest.raises(MaskAdapterError, match=r"cannot write .*: No space left on device"):
        write_segmented_video(Colored(), film, output=tmp_path / "out", formats="overlay", **RUN)
    assert list(contents(tmp_path)) == ["film.mp4"]


def long_film(count):
    base = list(crossing(50, (120, 160), 24))
    return (base[index % 50] for index in range(count))


@pytest.mark.slow
def test_memory_stays_flat_over_500_frames(tmp_path):
    film = tmp_path / "film.mp4"
    write_film(film, long_film(500), sound="aac")
    model, seen = Colored(), []
    compute = model.segment

    def noted(*given, **options):
        if model.seen % 50 == 0:
            gc.collect()
            seen.append(resident_bytes())
        return compute(*given, **options)

    model.segment = noted
    report = write_segmented_video(model, film, output=tmp_path / "out", **RUN)
    assert report.frames == 500
    assert max(seen[3:]) < 1.05 * seen[2]  # the encoder's look-ahead is full after 100 frames
    assert threading.active_count() < 20
