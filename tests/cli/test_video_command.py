"""``maskadapter video``."""

import signal
import subprocess
import sys
import time
from fractions import Fraction

import pytest

av = pytest.importorskip("av", reason="the extra [video] is not installed")

from films import Colored, crossing, decoded, write_film  # noqa: E402
from many import contents  # noqa: E402

import maskadapter  # noqa: E402
from maskadapter.cli import main  # noqa: E402


@pytest.fixture
def film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(maskadapter, "load", lambda *given, **options: Colored(), raising=False)
    return write_film(tmp_path / "film.mp4", crossing(10), sound="aac").name


@pytest.fixture
def run(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["video", *arguments])
        written = capsys.readouterr()
        return stopped.value.code or 0, written.out.splitlines(), written.err

    return run


def test_it_prints_what_it_found_and_wrote(film, run):
    code, out, err = run(film, "-c", "ball, ground", "--things", "ball", "--every", "2")
    assert (code, err) == (0, "")
    assert out[:2] == ["10 frames; things followed: ball 2", "background: coco-stuff (171 classes)"]
    assert out[2:] == ["out/film-overlay.mp4", "out/film-tracks.json", "out/film-tracks.txt"]
    assert len(decoded(out[2])[0]) == 10
    code, out, err = run(film, "-c", "ball, ground")
    assert (code, out) == (2, [])
    assert err.startswith("error: out/film-overlay.mp4 exists already: choose another output")
    code, out, err = run(film, "-c", "ball, ground", "--overwrite", "--save", "mot")
    assert (code, out[-1]) == (0, "out/film-tracks.txt")


def test_sound_that_is_left_out_is_a_line(run, tmp_path, film):
    write_film(tmp_path / "old.avi", crossing(10), codec="mpeg4", sound="wmav2", time_base=Fraction(1, 25))
    code, _, err = run("old.avi", "-c", "ball, ground", "-o", "new.mov")
    assert code == 0
    assert err.startswith("the sound (wmav2) is left out: .mov cannot hold it")


def test_what_is_not_a_video_is_one_line(run, film, tmp_path):
    (tmp_path / "film.mkv").write_bytes(b"words" * 100)
    code, out, err = run("film.mkv", "-c", "ball")
    assert (code, out, err.count("\n")) == (2, [], 1)
    assert err.startswith("error: cannot read film.mkv as a video")
    assert set(contents(tmp_path)) == {"film.mkv", "film.mp4"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT")
def test_ctrl_c_in_a_process_of_its_own(tmp_path):
    write_film(tmp_path / "film.mp4", crossing(300, (240, 320), 60))
    command = [sys.executable, "-m", "maskadapter", "video", "film.mp4", "-c", "ball, ground", "-o", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    waited = time.monotonic() + 60
    while time.monotonic() < waited and not any((tmp_path / "out").rglob("*.txt")):
        time.sleep(0.2)
    time.sleep(2)  # some frames more
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.startswith("stopped: ")
    assert "Traceback" not in err
    found = contents(tmp_path / "out")
    assert set(found) == {"film-overlay-stopped.mp4", "film-tracks-stopped.json", "film-tracks-stopped.txt"}
    assert len(decoded(tmp_path / "out" / "film-overlay-stopped.mp4")[0]) == int(err.split()[1])
