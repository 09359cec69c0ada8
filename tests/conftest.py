"""Shared by all tests."""

import os
import shutil
import signal
import socket
import sysconfig

import input_size
import pytest

import maskadapter.models.clip  # noqa: F401 (declares what timm needs before a test imports it)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as jobs in the background of a shell inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """No test reads or fills the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKADAPTER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def small_input():
    """The embedded model resizes images to 160 pixels and not to 640."""
    with input_size.small_input():
        yield


@pytest.fixture(params=["torchrun", pytest.param("accelerate", marks=pytest.mark.slow)])
def launcher(request, tmp_path, monkeypatch):
    """What starts two processes on the CPU: the words between the interpreter and the program."""
    if request.param == "torchrun":
        return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    # Without MPI, accelerate launch starts one process on a CPU, whatever it is asked for.
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"])
    if shutil.which("mpirun") is None:
        pytest.skip("there is no mpirun")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = ["--cpu", "--num_processes", "2", "--mpirun_hostfile", str(hosts), "--main_process_port", port]
    return ["-m", "accelerate.commands.launch", *words]
