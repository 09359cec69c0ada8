"""CLIP's own kind of text encoder, which computes each beginning that prompts share once."""

from dataclasses import dataclass
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, TextTransformer
from torch import Tensor, nn


@dataclass(frozen=True)
class CausalTextEncoder:
    """A transformer in which no token sees a later one, and whose output at the end of a text stands for it.

    Prompts of one class and of one template begin alike ("There is a large ", "a photo of a cat"), and what is computed
    for a token depends on the tokens before it alone. Prompts are therefore computed as a tree: a token that follows
    the same tokens is one row, whichever prompts it is part of, and nothing behind the end of a text is computed. With
    our templates a third of the rows are left that prompts cut to the longest of a batch have.

    parts: the module that holds the weights, which are read here: ``open_clip.CLIP`` or its ``TextTransformer``."""

    parts: Any

    @classmethod
    def of(cls, model: nn.Module) -> "CausalTextEncoder | None":
        """That of a model of open_clip; None where its text encoder is of another kind."""
        parts: Any = model.text if isinstance(model, open_clip.CustomTextCLIP) else model
        if isinstance(parts, open_clip.CLIP):
            pool, extra = parts.text_pool_type, None
        elif isinstance(parts, TextTransformer):
            pool, extra = parts.pool_type, parts.cls_emb
        else:
            return None
        causal = parts.attn_mask is not None and extra is None and pool == "argmax"
        usual = all(type(block) is ResidualAttentionBlock for block in parts.transformer.resblocks)
        return cls(parts) if causal and usual and isinstance(parts.text_projection, Tensor) else None

    @property
    def embed_dim(self) -> int:
        """D, the width of the embeddings."""
        return self.parts.text_projection.shape[1]

    def __call__(self, tokens: Tensor, batch_size: int) -> Tensor:
        """Embed token ids (n, context) as unit vectors (n, D). The highest id ends a text. batch_size: texts at a time,
        which bounds the memory."""
        ends = tokens.argmax(dim=-1, keepdim=True)
        behind = torch.arange(tokens.shape[1], device=tokens.device) > ends
        # Sorted, so that texts that begin alike are neighbors.
        tokens, which = tokens.masked_fill(behind, 0).unique(dim=0, return_inverse=True)
        return torch.cat([self._encode(batch) for batch in tokens.split(batch_size)])[which]

    def embed(self, tokens: Tensor) -> Tensor:
        """The same of token ids (n, L), L up to the context, where every row is computed: for exported graphs."""
        parts, (count, length) = self.parts, tokens.shape
        x = parts.token_embedding(tokens) + parts.positional_embedding[:length]
        x = parts.ln_final(parts.transformer(x, attn_mask=parts.attn_mask[:length, :length]))
        ends = x[torch.arange(count, device=x.device), tokens.argmax(dim=-1)]
        return F.normalize(ends @ parts.text_projection, dim=-1)

    def _encode(self, tokens: Tensor) -> Tensor:
        """Embed texts (n, context), which are sorted and differ."""
        parts, ends = self.parts, tokens.argmax(dim=-1)
        tokens = tokens[:, : int(ends.max()) + 1]
        new, rows = _tree(tokens, ends)
        last = F.one_hot(ends, tokens.shape[1]).bool()
        x = parts.token_embedding(tokens[new]) + parts.positional_embedding[new.nonzero()[:, 1]]
        *blocks, final = parts.transformer.resblocks
        for block in blocks:
            x = _through(block, x, x, rows, new)
        x = parts.ln_final(_through(final, x, x[rows[last]], rows, last))
        return F.normalize(x @ parts.text_projection, dim=-1)


def _tree(tokens: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Sorted texts (n, length) as a tree: which tokens do not stand in the text before, after the same tokens, (n,
    length) bool; and the number of each token's row, (n, length), arbitrary behind the end of a text."""
    texts, places = (torch.arange(size, device=tokens.device) for size in tokens.shape)
    shared = F.pad((tokens[1:] == tokens[:-1]).long().cumprod(dim=1).bool(), (0, 0, 1, 0))
    new = ~shared & (places <= ends[:, None])
    numbers = new.flatten().cumsum(dim=0).view_as(new) - 1
    source = (new * texts[:, None]).cummax(dim=0).values  # the text whose row it is
    return new, numbers.gather(0, source)


def _through(block: Any, x: Tensor, kept: Tensor, rows: Tensor, chosen: Tensor) -> Tensor:
    """The output of a block at the chosen tokens, (n, length) bool, whose rows are ``kept``. x, rows: see ``_tree``."""
    attention = block.attn
    mixed = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = mixed[rows].unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    seen = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)
    kept = kept + block.ls_1(attention.out_proj(seen[chosen]))
    return kept + block.ls_2(block.mlp(block.ln_2(kept)))
