"""Text embeddings that were computed before, kept in memory and in one file per text encoder."""

import json
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskadapter.errors import MaskAdapterError
from maskadapter.models.clip.clip import Clip
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.progress import bar

_BATCH = 32  # class names encoded at a time, between two steps of the progress bar


class TextCache:
    """Computes the text embedding of a class name once, for this process and the next.

    folder: holds one ``.npz`` file per text encoder and prompts, called after their hash. None keeps the embeddings in
        memory alone. Processes may share the folder: a file appears whole, and what another process stored in the
        meantime stays. A file that cannot be used (no permission, no space, damaged) is done without.
    encoder: its weights do not change any more: they are hashed once, in every copy of the cache. Its prompts may."""

    def __init__(self, folder: Path | None, encoder: Clip) -> None:
        self._folder, self._encoder, self._templates = folder, encoder, encoder.templates
        self._fingerprint: str | None = None
        self._embeddings: dict[str, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """The weights of a copied model may be changed before it is used."""
        return {**self.__dict__, "_fingerprint": None, "_embeddings": {}}

    def text_embeddings(self, names: Sequence[str]) -> Tensor:
        """Return the text embeddings of class names, (len(names), D) float32 on the CPU."""
        if self._templates != self._encoder.templates:
            self._templates, self._fingerprint, self._embeddings = self._encoder.templates, None, {}
        if self._unknown(names):
            path = None
            if self._folder is not None:
                self._fingerprint = self._fingerprint or self._encoder.text_fingerprint()
                path = self._folder / f"{self._fingerprint[:32]}.npz"
                self._embeddings.update(_read(path, self._encoder.embed_dim))
            if unknown := self._unknown(names):
                try:
                    with bar("encoding class names", len(unknown)) as advance:
                        for start in range(0, len(unknown), _BATCH):
                            batch = unknown[start : start + _BATCH]
                            embeddings = self._encoder.encode_text(batch).float().cpu()
                            self._embeddings.update(zip(batch, embeddings, strict=True))
                            advance(len(batch))
                finally:  # after Ctrl-C too
                    self._store(path)
        return torch.stack([self._embeddings[name] for name in names])

    def _unknown(self, names: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(name for name in names if name not in self._embeddings))

    def _store(self, path: Path | None) -> None:
        if path is None or not self._embeddings:
            return
        # Two processes that store at the same moment may lose some of each other's: these are encoded again.
        merged = _read(path, self._encoder.embed_dim) | self._embeddings
        embeddings = torch.stack(list(merged.values())).numpy()
        try:
            with write_atomically(path) as temporary:
                np.savez(temporary, names=np.array(json.dumps(list(merged))), text_embeddings=embeddings)
        except MaskAdapterError:
            self._folder = None


def _read(path: Path, dim: int) -> dict[str, Tensor]:
    """The embeddings in a file by class name; none where it is missing, damaged or of another width."""
    with suppress(OSError, zipfile.BadZipFile, EOFError, ValueError, KeyError, TypeError, AttributeError):
        # Read at once, because another process may replace the file.
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as content:
            names, embeddings = json.loads(content["names"].item()), content["text_embeddings"]
        if embeddings.shape == (len(names), dim) and embeddings.dtype == np.float32:
            return dict(zip(names, torch.from_numpy(embeddings), strict=True))
    return {}
