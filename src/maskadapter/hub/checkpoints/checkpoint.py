"""Files of weights: read without executing anything, compared key by key, written whole or not at all."""

import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoints.key_names import to_ours
from maskadapter.hub.checkpoints.stored_tensors import StoredTensor, Tensors, open_safetensors
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.error_text import first_line

Shapes = Mapping[str, tuple[int, ...]]

# What detectron2's checkpoints hold beside tensors: NumPy scalars of the scheduler and the evaluation. Files written
# under NumPy 1 name the function by its old module. Nothing else may be constructed while a file is read.
_SAFE_GLOBALS: list[Any] = [
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
]

# Left in official files by training, of no use to the model: FC-CLIP's loss weights, MAFT+'s second, frozen CLIP.
_TRAINING_LEFTOVERS = ("criterion.empty_weight", "backbone_t.")


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file under this project's key names, those of a safetensors file read when they are asked for.

    official: whether the file uses the official key names. metadata: of a safetensors file; empty for others. adapter:
    the file that its adapter was joined from, if it was.
    """

    source: Path
    tensors: Tensors
    official: bool
    metadata: Mapping[str, str]
    adapter: Path | None = None

    @property
    def shapes(self) -> Shapes:
        """The shape of every tensor, by its key."""
        return shapes_of(self.tensors.held)

    @property
    def model(self) -> str | None:
        """The named model that the metadata state; the embedded file has it under ``name``."""
        return self.metadata.get("model") or self.metadata.get("name")

    def has(self, prefix: str) -> bool:
        """Whether a key starts with ``prefix``."""
        return any(key.startswith(prefix) for key in self.tensors)

    def float_tensors(self) -> dict[str, Tensor]:
        """The tensors as the models need them, in float32; files may hold half precision. One after another is read
        and converted, so that no second copy of all is in memory."""
        return {key: t.float() if t.is_floating_point() else t for key, t in self.tensors.items()}


def shapes_of(tensors: Mapping[str, Tensor | StoredTensor]) -> Shapes:
    """Return the shape of every tensor, by its key."""
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def compare(needed: Shapes, found: Shapes) -> str:
    """Return which keys are missing, left over, or of another shape, as one line; empty where there are none."""
    keys = sorted(key for key in needed.keys() & found.keys() if needed[key] != found[key])
    parts = [f"{key} has shape {found[key]}, {needed[key]} is needed" for key in keys[:3]]
    if len(keys) > 3:
        parts.append(f"{len(keys) - 3} more have other shapes")
    for label, left in (("missing", needed.keys() - found.keys()), ("unexpected", found.keys() - needed.keys())):
        if left:
            rest = f" and {len(left) - 3} more" if len(left) > 3 else ""
            parts.append(f"{label}: {', '.join(sorted(left)[:3])}{rest}")
    return "; ".join(parts)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a ``.safetensors`` file, or an official ``.pth``: a ``model`` dict, or bare tensors. Nothing is executed.

    Raises CheckpointError when the file is missing, damaged, unsafe, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}: give the path of a .pth or .safetensors file")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def write_checkpoint(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors as safetensors; each value of ``metadata`` is stored as text, or as JSON when it is not text."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    # Clones, because safetensors refuses tensors that share memory.
    own = {key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()}
    with write_atomically(Path(path)) as temporary:
        try:
            save_file(own, temporary, metadata=texts)
        except SafetensorError as error:
            raise CheckpointError(f"cannot write {path}: {first_line(error)}") from error
        _order_header(temporary)


def _order_header(path: Path) -> None:
    """Sort the header, whose metadata the library writes in a random order, so that equal models give equal files.
    Source: safetensors' format: the header's length (8 bytes, little-endian), JSON padded with spaces, the data."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        ordered = json.dumps(json.loads(file.read(length)), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        file.seek(8)
        file.write(ordered.encode().ljust(length))


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        held, metadata = open_safetensors(path)
    except (SafetensorError, OSError, UnicodeError) as error:  # a path that is not text
        reason = first_line(error)
        raise CheckpointError(f"{path} cannot be read as safetensors ({reason}): download or write it again") from error
    # Files of version 0.1 hold the adapter as ``embedding.adapter``.
    tensors = {re.sub(r"^embedding\.adapter\.", "pooler.adapter.", key): tensor for key, tensor in held.items()}
    return Checkpoint(path, Tensors(_with_token_table(path, tensors)), official=False, metadata=metadata)


def _with_token_table(path: Path, tensors: dict[str, StoredTensor]) -> Mapping[str, Tensor | StoredTensor]:
    """Multiply the factors of the embedded file's table of token embeddings: (rows, r) in 8 bits, with a scale of each
    row, (rows, 1), times (r, width). That of version 0.2 has 16 bits and no scales."""
    table = "clip.model.token_embedding."
    names = [table + part for part in ("factor_a", "factor_a_scale", "factor_b")]
    found = {name: tensors.pop(name).read() for name in names if name in tensors}
    if not found:
        return tensors
    a, scale, b = map(found.get, names)
    if a is None or b is None or (scale is None and not a.is_floating_point()):
        lacking = ", ".join(name for name in names if name not in found)
        raise CheckpointError(f"{path} holds a part of its token table and lacks {lacking}: download or write it again")
    scaled = a.float() if scale is None else a.float() * scale.float()
    return tensors | {f"{table}weight": scaled @ b.float()}


def _read_pickle(path: Path) -> Checkpoint:
    _refuse_compressed(path)
    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on the pickle protocol, which the error below makes clearer
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise nearly anything
        # PyTorch's own message advises to load without protection; --debug shows it.
        raise CheckpointError(
            f"{path} is not a file of weights (.pth, .safetensors), is damaged, or holds more than tensors, and was "
            "not loaded: give another file, or download it again"
        ) from error
    state = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(isinstance(k, str) for k in state):
        raise CheckpointError(f"{path} holds no state dict: a 'model' entry or bare tensors by name are needed")
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} holds no state dict: some of its values are not tensors")
    tensors = {to_ours(key): tensor for key, tensor in state.items() if not key.startswith(_TRAINING_LEFTOVERS)}
    return Checkpoint(path, Tensors(tensors), official=True, metadata={})


def _refuse_compressed(path: Path) -> None:
    """torch.save stores its zip members as they are; a compressed one could unpack to any size."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            compressed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # torch.load says what is wrong with it
    if compressed:
        raise CheckpointError(f"{path} is a compressed archive and was not loaded: PyTorch writes uncompressed files")
