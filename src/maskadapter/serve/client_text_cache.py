"""Text embeddings of the class names that clients send."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from maskadapter.models import Clip, TextCache
from maskadapter.vocabulary import Vocabulary, builtin_names


class ClientTextCache(TextCache):
    """Remembers the ``most`` names that clients sent last, in memory alone: what strangers send shall fill neither the
    memory nor a file. The names of the built-in lists are remembered by ``known``, as everywhere."""

    def __init__(self, encoder: Clip, known: TextCache | None, most: int = 20_000) -> None:
        super().__init__(None, encoder)
        self._clip, self._known, self._most = encoder, known or TextCache(None, encoder), most
        lists = map(Vocabulary.builtin, builtin_names())
        self._builtin = frozenset(chain.from_iterable(one.synonyms for one in lists))
        self._sent: OrderedDict[str, Tensor] = OrderedDict()

    def text_embeddings(self, names: Sequence[str]) -> Tensor:
        """Return the text embeddings of class names, (len(names), D) float32 on the CPU."""
        own = list(dict.fromkeys(name for name in names if name not in self._builtin))
        builtin = list(dict.fromkeys(name for name in names if name in self._builtin))
        if unknown := [name for name in own if name not in self._sent]:
            self._sent.update(zip(unknown, self._clip.encode_text(unknown).float().cpu(), strict=True))
        found = {name: self._sent[name] for name in own}
        if builtin:
            found |= dict(zip(builtin, self._known.text_embeddings(builtin), strict=True))
        for name in own:
            self._sent.move_to_end(name)
        while len(self._sent) > self._most:
            self._sent.popitem(last=False)
        return torch.stack([found[name] for name in names])
