"""Files that hold no video, or a part of one: one line."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av", reason="the extra [video] is not installed")

from films import crossing, decoded, write_film  # noqa: E402

from maskadapter.errors import MaskAdapterError  # noqa: E402
from maskadapter.pipelines.video import VideoFile  # noqa: E402


def read(path):
    with VideoFile(path) as video:
        return list(video.frames()), video.damage()


def broken(tmp_path, kind):
    path = tmp_path / f"{kind}.mp4"
    match kind:
        case "a folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "noise":
            path.write_bytes(np.random.default_rng(0).bytes(10_000))
        case "text":
            path.write_text("not a film\n" * 50)
        case "an image":
            Image.new("RGB", (40, 30)).save(path, "PNG")
        case "cut off":
            write_film(path, crossing(), sound="aac")
            path.write_bytes(path.read_bytes()[:3000])  # its index is at the end
        case "sound alone":
            with av.open(str(path), "w") as file:
                stream = file.add_stream("aac", rate=8000, layout="mono")
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "f4"), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 8000, 0
                file.mux(stream.encode(frame))
                file.mux(stream.encode(None))
        case "a playlist":
            write_film(tmp_path / "film.ts", crossing(5))
            path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfilm.ts\n#EXT-X-ENDLIST\n")
        case "a list of files":
            write_film(tmp_path / "film.mp4", crossing(5))
            path.write_text("ffconcat version 1.0\nfile film.mp4\n")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("gone", "no such video"),
        ("a folder", "is not a file"),
        ("empty", "the file is empty"),
        ("noise", "cannot read .* as a video"),
        ("text", "cannot read .* as a video"),
        ("an image", "cannot read .* as a video"),
        ("cut off", "cannot read .* as a video"),
        ("sound alone", "holds no video"),
        ("a playlist", "cannot read .* as a video"),
        ("a list of files", "cannot read .* as a video"),
    ],
)
def test_what_is_not_a_video(tmp_path, kind, message):
    with pytest.raises(MaskAdapterError, match=message) as error:
        read(broken(tmp_path, kind))
    assert "\n" not in str(error.value)
    assert kind.split()[-1] in str(error.value) or "mp4" in str(error.value)


def test_an_address_is_refused():
    with pytest.raises(MaskAdapterError, match="is an address"):
        VideoFile("http://localhost/film.mp4")


def test_without_pyav(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MaskAdapterError, match=r"av is needed for this: pip install 'maskadapter\[video\]'"):
        VideoFile(tmp_path / "film.mp4")


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_a_film_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path, suffix):
    film = write_film(tmp_path / f"film{suffix}", crossing())
    content = film.read_bytes()
    film.write_bytes(content[: len(content) // 2])
    frames, _ = read(film)
    assert 5 < len(frames) < 40


def test_a_missing_end_is_reported(tmp_path):
    film = write_film(tmp_path / "film.mp4", crossing(), options={"bf": "0"})
    whole, damage = read(film)
    assert (len(whole), damage) == (40, "")
    content = film.read_bytes()
    index = content.index(b"moov") - 4  # moved to the front, as for the web; then what it points to is cut
    front = content[index:]
    start = content.index(b"mdat") - 4
    film.write_bytes(content[:start] + moved(front, len(front)) + content[start : index - (index - start) // 2])
    frames, damage = read(film)
    assert 5 < len(frames) < 40
    assert damage.endswith("the file is cut off or damaged")


def moved(index, by):
    """The index of an MP4 whose data stands ``by`` bytes later."""
    place = index.index(b"stco") + 8
    count = int.from_bytes(index[place : place + 4], "big")
    offsets = np.frombuffer(index[place + 4 : place + 4 + 4 * count], ">u4") + by
    return index[: place + 4] + offsets.astype(">u4").tobytes() + index[place + 4 + 4 * count :]


def test_damage_in_the_middle_costs_some_frames(tmp_path):
    film = write_film(tmp_path / "film.mp4", crossing(), options={"bf": "0", "g": "5"})
    content = bytearray(film.read_bytes())
    start = content.index(b"mdat") + 3000
    content[start : start + 400] = np.random.default_rng(0).bytes(400)
    film.write_bytes(content)
    frames, _ = read(film)
    assert 20 < len(frames) <= 40


def test_times_start_with_the_file(tmp_path):
    film = write_film(tmp_path / "film.ts", crossing(5), [1400 + 40 * index for index in range(5)])
    with VideoFile(film) as video:
        times = [video.seconds(frame.pts) for frame in video.frames()]
    assert decoded(film)[0][0] > 1
    assert times == pytest.approx(np.arange(5) / 25, abs=1e-4)


def test_times_that_are_missing_are_made_by_the_rate(tmp_path):
    film = tmp_path / "film.h264"
    write_film(film, crossing(10), options={"bf": "0"}, time_base=Fraction(1, 25))
    with VideoFile(film) as video:
        times = [video.seconds(frame.pts) for frame in video.frames()]
    assert times == pytest.approx(np.arange(10) / 25, abs=1e-4)


def test_a_cover_image_is_not_a_video(tmp_path):
    film = write_film(tmp_path / "film.mkv", crossing(3))
    with VideoFile(film) as video:
        assert video.frame_count in (0, 3)
        assert len(list(video.frames())) == 3
