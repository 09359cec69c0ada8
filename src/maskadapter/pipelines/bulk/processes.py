"""Workers as processes of this computer. They are new Python processes, not forks, which GPUs and threads do not
survive; the shards and reports go through their standard input and output, a JSON line each."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.bulk.shard_report import ShardReport
from maskadapter.pipelines.bulk.worker import WorkerDied

# Libraries below PyTorch read them when they are loaded.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class ProcessWorker:
    """A process with the model of a plan. Raises WorkerDied, or MaskAdapterError, where that cannot be loaded."""

    def __init__(self, folder: Path, device: str):
        code = f"from {__name__} import serve; serve()"
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, str(folder), device],  # -P: no module of the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": paths},
            text=True,
            encoding="utf-8",
        )

    def work(self, shard: int) -> ShardReport:
        """As ``Worker.work``."""
        return ShardReport(**self._answer(json.dumps(shard)))

    def _answer(self, line: str) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
        except (OSError, ValueError):
            self.close()
            raise WorkerDied(f"its process ended with exit code {process.returncode}") from None
        if "error" in answer:
            raise MaskAdapterError(answer["error"])
        return dict(answer)

    def close(self) -> None:
        """As ``Worker.close``."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def serve() -> None:
    """Be the process: compute the shards that standard input names until it ends, which the death of the parent brings
    about too. What libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the parent decides
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    folder, device = sys.argv[1:3]
    shards: list[int] = []
    more = threading.Condition()

    def listen() -> None:
        for line in sys.stdin:
            with more:
                shards.append(json.loads(line))
                more.notify()
        os._exit(0)  # in the midst of a shard too: nobody waits for it, and a part is written whole or not at all

    threading.Thread(target=listen, daemon=True).start()
    work: Callable[[int], ShardReport] | None = None
    while True:
        with more:
            more.wait_for(lambda: shards)
            shard = shards.pop(0)
        try:
            if work is None:
                from maskadapter.pipelines.bulk.shard_worker import ShardWorker

                work = ShardWorker(folder, device).work
            answer: dict[str, Any] = asdict(work(shard))
        except MaskAdapterError as error:
            answer = {"error": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
