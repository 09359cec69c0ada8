"""``maskadapter serve`` as a process, and what it refuses before it loads a model."""

import os
import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection

import pytest

from maskadapter.cli import main

pytest.importorskip("fastapi")


def test_a_port_that_is_taken_is_refused(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stopped:
            main(["serve", "--port", str(port)])
    assert stopped.value.code == 2
    assert f"cannot listen on 127.0.0.1, port {port} (" in capsys.readouterr().err


def test_a_missing_library_names_the_extra(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit) as stopped:
        main(["serve", "--port", "0"])
    assert stopped.value.code == 2
    assert "pip install 'maskadapter[serve]'" in capsys.readouterr().err


@pytest.mark.slow
def test_it_answers_until_it_is_asked_to_end():
    process = subprocess.Popen(
        [sys.executable, "-m", "maskadapter", "serve", "--port", "0", "--queue", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MASKADAPTER_TOKEN": "open sesame"},
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("tiny answers on http://127.0.0.1:")
        statuses = {}
        for path, headers in (
            ("/readyz", {}),
            ("/v1/models", {}),
            ("/v1/vocabularies", {"authorization": "Bearer open sesame"}),
        ):
            connection = HTTPConnection("127.0.0.1", int(re.search(r":(\d+);", line)[1]), timeout=60)
            connection.request("GET", path, headers=headers)
            statuses[path] = connection.getresponse().status
            connection.close()
        assert statuses == {"/readyz": 200, "/v1/models": 401, "/v1/vocabularies": 200}
    finally:
        process.send_signal(signal.SIGTERM)
        _, written = process.communicate(timeout=60)
    assert (process.returncode, written) == (143, "stopped\n")
