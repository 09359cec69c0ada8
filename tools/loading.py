"""How long loading a large file of weights takes, and how much memory at the most.

    python tools/loading.py [--turns 3]

Random weights in the shapes of fcclip-large with adapter, written to a temporary folder: as safetensors in 32 and 16
bits, and as an official ``.pth``. Every load has a process of its own, with PyTorch and the package imported before;
the files are in the system's cache. Memory is what the process takes beyond that, at the most while it loads and when
every weight was read once. Writes ``results/benchmarks/loading-cpu.json`` and ``.md``; a minute on two cores, 5 GB.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from maskadapter.benchmark.clock import peak_memory
from maskadapter.benchmark.machine import processor
from maskadapter.hub import load, save
from maskadapter.hub.checkpoints.key_names import to_official
from maskadapter.models import Architecture, build
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.json_files import write_json
from maskadapter.system.markdown_table import markdown_table

MODEL = "fcclip-large"
RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def write_files(folder: Path) -> list[Path]:
    """Write the weights three times."""
    segmenter = build(Architecture(MODEL, "adapter"))
    state = {to_official(key): tensor for key, tensor in segmenter.state_dict().items()}
    torch.save({"model": state}, folder / "official.pth")
    save(segmenter, folder / "32-bits.safetensors", MODEL)
    save(segmenter.half(), folder / "16-bits.safetensors", MODEL)
    return sorted(folder.iterdir())


def measure(path: Path) -> dict[str, float]:
    """Load a file in this process."""
    with peak_memory(torch.device("cpu")) as most:
        start = time.perf_counter()
        segmenter = load(path)
        seconds = time.perf_counter() - start
        for parameter in segmenter.parameters():
            parameter.sum()  # a weight that is mapped is read when it is used
        read = time.perf_counter() - start
    return {"seconds": seconds, "seconds, all weights read": read, "GB": most[0]}


def alone(path: Path, turns: int) -> dict[str, float]:
    """Load a file in processes of their own; medians."""
    found = []
    for _ in range(turns):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found.append(pool.submit(measure, path).result())
    size = path.stat().st_size / 1e9
    medians = {name: median(turn[name] for turn in found) for name in found[0]}
    return {"file, GB": size, **medians, "memory over the file's size": medians["GB"] / size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    with TemporaryDirectory() as folder:
        found = {path.name: alone(path, turns) for path in write_files(Path(folder))}
    facts: dict[str, Any] = {
        "model": f"{MODEL}, random weights",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "loading-cpu.json", {**found, **facts})
    names = list(next(iter(found.values())))
    rows = [[file, *(f"{numbers[name]:.3g}" for name in names)] for file, numbers in found.items()]
    lines = markdown_table(["", *names], rows, "l" + "r" * len(names))
    lines += ["", *markdown_table(["", ""], [[name, str(value)] for name, value in facts.items()], "ll")]
    with write_atomically(RESULTS / "loading-cpu.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
