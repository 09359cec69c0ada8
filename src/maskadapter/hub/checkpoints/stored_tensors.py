"""The tensors of a safetensors file, each read when it is asked for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from maskadapter.errors import CheckpointError


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in an open file: where it starts, in bytes, its size in bytes, its shape and type."""

    file: FileIO
    start: int
    size: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    def read(self) -> Tensor:
        """Read the tensor into memory of its own. Raises CheckpointError where the file has become shorter."""
        content = torch.empty(self.size, dtype=torch.uint8, device="cpu")  # whatever the default device
        unread = content.numpy().data
        self.file.seek(self.start)
        while unread:
            if not (count := self.file.readinto(unread)):
                raise CheckpointError(f"{self.file.name} was cut while it was read: load it again when it is whole")
            unread = unread[count:]
        return content.view(self.dtype).view(self.shape)


class Tensors(Mapping[str, Tensor]):
    """Tensors by name, those that are in a file read anew each time that they are asked for: whoever takes one after
    another has no two copies of all. held: the tensors; shapes are known without reading."""

    def __init__(self, held: Mapping[str, Tensor | StoredTensor]) -> None:
        self.held = held

    def __getitem__(self, key: str) -> Tensor:
        held = self.held[key]
        return held.read() if isinstance(held, StoredTensor) else held

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


def open_safetensors(path: Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Return the tensors of a safetensors file and its metadata. Raises SafetensorError, OSError.

    They are not mapped into memory: a file that somebody cuts or writes over while a model is in use, such as by
    copying another one to its place, would then end the process (SIGBUS) or change the model.
    """
    with safe_open(path, framework="pt") as checked:  # refuses a damaged header
        metadata = checked.metadata() or {}
        types = {key: checked.get_tensor(key).dtype for key in checked.keys()}  # noqa: SIM118
    file = path.open("rb", buffering=0)  # a buffer would hide that the file has changed
    # Source: safetensors' format: the header's length (8 bytes, little-endian), the header in JSON, the data.
    length = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(length))
    found = {}
    for key, dtype in types.items():
        start, end = header[key]["data_offsets"]
        found[key] = StoredTensor(file, 8 + length + start, end - start, tuple(header[key]["shape"]), dtype)
    return found, metadata
