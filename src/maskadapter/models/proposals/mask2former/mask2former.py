"""FC-CLIP's proposal head: pixel decoder, then masked-attention decoder, in which queries become masks and class
embeddings. Source: Mask2Former, section 3.2; the class head with mask pooling is FC-CLIP's, section 3.2."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.poolers.mask_pooling import pool_inside
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder, sine_position_encoding
from maskadapter.types import ClipFeatures, ImageBatch, Proposals


class MultilayerPerceptron(nn.Module):
    """Three linear layers with ReLU between them: (..., in) -> (..., hidden) -> (..., hidden) -> (..., out)."""

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        dims = (in_dim, hidden_dim, hidden_dim, out_dim)
        self.layers = nn.ModuleList(map(nn.Linear, dims[:-1], dims[1:]))

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.layers
        return last(F.relu(second(F.relu(first(x)))))


class DecoderLayer(nn.Module):
    """Masked cross-attention to one level, self-attention among the queries, a perceptron; a LayerNorm after each."""

    def __init__(self, dim: int, num_heads: int, ffn_dim: int) -> None:
        super().__init__()
        self.cross_attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.cross_norm = nn.LayerNorm(dim)
        self.self_attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.self_norm = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, ffn_dim)
        self.linear2 = nn.Linear(ffn_dim, dim)
        self.ffn_norm = nn.LayerNorm(dim)

    def forward(self, queries: Tensor, query_position: Tensor, level: Tensor, position: Tensor, seen: Tensor) -> Tensor:
        """queries (B, N, C); level, position (B, L, C); seen (B, N, L) bool: where a query may look."""
        attended = attend(self.cross_attention, queries + query_position, level + position, level, seen)
        x = self.cross_norm(queries + attended)
        placed = x + query_position
        attended, _ = self.self_attention(placed, placed, x, need_weights=False)
        x = self.self_norm(x + attended)
        return self.ffn_norm(x + self.linear2(F.relu(self.linear1(x))))


class MaskDecoder(nn.Module):
    """Queries look at the levels, coarsest first, each only inside its own mask so far. text_dim: D of the text
    embeddings. dim: channels of queries and levels. mask_dim: of the pixel embedding. num_queries: 250 for FC-CLIP, 100
    for MAFT+. num_layers: 9 as published (DEC_LAYERS 10 counts the first head)."""

    NUM_LEVELS = 3

    def __init__(
        self,
        text_dim: int,
        dim: int = 256,
        mask_dim: int = 256,
        num_queries: int = 250,
        num_layers: int = 9,
        num_heads: int = 8,
        ffn_dim: int = 2048,
    ) -> None:
        super().__init__()
        self.query_feat = nn.Embedding(num_queries, dim)
        self.query_embed = nn.Embedding(num_queries, dim)
        self.level_embed = nn.Embedding(self.NUM_LEVELS, dim)
        self.layers = nn.ModuleList(DecoderLayer(dim, num_heads, ffn_dim) for _ in range(num_layers))
        self.decoder_norm = nn.LayerNorm(dim)
        self.mask_embed = MultilayerPerceptron(dim, dim, mask_dim)
        self.mask_pooling_proj = nn.Sequential(nn.LayerNorm(mask_dim), nn.Linear(mask_dim, dim))
        self.class_embed = MultilayerPerceptron(dim, dim, text_dim)
        # CLIP's own starting temperature, 1 / 0.07. Source: FC-CLIP, official predictor
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, pixel_embedding: Tensor, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """pixel_embedding: (B, mask_dim, H / 4, W / 4). levels: coarsest first, (B, dim, h_i, w_i). Returns mask logits
        (B, N, H / 4, W / 4) and class embeddings (B, N, text_dim)."""
        *_, queries = self._refine(pixel_embedding, levels)
        mask_logits = self.masks(queries, pixel_embedding)
        return mask_logits, self.class_embeddings(queries, pixel_embedding, mask_logits)

    def every_head(self, pixel_embedding: Tensor, levels: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Predictions of all ``num_layers + 1`` prediction heads, each as ``forward`` returns it, the last one last."""
        found = [(q, self.masks(q, pixel_embedding)) for q in self._refine(pixel_embedding, levels)]
        return [(masks, self.class_embeddings(q, pixel_embedding, masks)) for q, masks in found]

    def _refine(self, pixel_embedding: Tensor, levels: Sequence[Tensor]) -> Iterator[Tensor]:
        """Queries (B, N, C) before the first layer and after each."""
        batch, dim = len(pixel_embedding), self.query_feat.embedding_dim
        features = [m.flatten(-2).transpose(1, 2) + e for m, e in zip(levels, self.level_embed.weight, strict=True)]
        positions = [sine_position_encoding(m, dim).flatten(-2).transpose(1, 2) for m in levels]
        # Queries attend inside their masks, downsampled to a level's size. Prediction and downsampling are linear, so
        # the pixel embedding is downsampled once instead of the masks of every layer.
        pixels = pixel_embedding.detach()
        small = [F.interpolate(pixels, m.shape[-2:], mode="bilinear", align_corners=False) for m in levels]
        queries = self.query_feat.weight.expand(batch, -1, -1)
        yield queries
        for i, layer in enumerate(self.layers):
            level = i % self.NUM_LEVELS
            with torch.no_grad():
                seen = where_to_look(self.masks(queries, small[level]))
            queries = layer(queries, self.query_embed.weight, features[level], positions[level], seen)
            yield queries

    def masks(self, queries: Tensor, pixel_embedding: Tensor) -> Tensor:
        """Mask logits (B, N, H / 4, W / 4) of queries (B, N, C): dot products with the embedding of every pixel."""
        return torch.einsum("bnc,bchw->bnhw", self.mask_embed(self.decoder_norm(queries)), pixel_embedding)

    def class_embeddings(self, queries: Tensor, pixel_embedding: Tensor, mask_logits: Tensor) -> Tensor:
        """Embeddings (B, N, text_dim) of each query and of the pixels inside its mask. Source: FC-CLIP 3.2."""
        pooled = self.mask_pooling_proj(pool_inside(pixel_embedding, mask_logits))
        return self.class_embed(pooled + self.decoder_norm(queries))


def where_to_look(mask_logits: Tensor) -> Tensor:
    """(B, N, h, w) -> (B, N, h * w) bool: where a query may look, inside its mask, or everywhere if that is empty."""
    inside = (mask_logits.sigmoid() >= 0.5).flatten(-2)
    return inside | ~inside.any(dim=-1, keepdim=True)


def attend(attention: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
    """Apply ``attention`` with one mask (B, N, L) for all heads: it needs one for each itself, which takes longer."""
    inputs = zip((query, key, value), attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True)
    q, k, v = (F.linear(x, w, b).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for x, w, b in inputs)
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None])
    return attention.out_proj(attended.transpose(1, 2).flatten(-2))


class Mask2FormerHead(nn.Module):
    """Propose masks from CLIP's feature pyramid and classify them by text embeddings. ``forward`` returns the
    predictions of the last prediction head; ``every_head`` those of all, for training losses."""

    fixed_number = True

    def __init__(self, pixel_decoder: PixelDecoder, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.pixel_decoder, self.mask_decoder = pixel_decoder, mask_decoder

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        """N = ``num_queries`` proposals at stride 4 of the input, with class embeddings. inputs: not used."""
        return Proposals(*self.mask_decoder(*self.pixel_decoder(features.pyramid)))

    def every_head(self, features: ClipFeatures) -> list[Proposals]:
        """Proposals of every prediction head, the last one last."""
        return [Proposals(*head) for head in self.mask_decoder.every_head(*self.pixel_decoder(features.pyramid))]

    def class_logits(self, proposals: Proposals, text: TextClassifier) -> Tensor:
        """Classify proposals: (B, N, K + 1), void last."""
        assert proposals.class_embeddings is not None
        return text.logits(proposals.class_embeddings, self.logit_scale)

    @property
    def logit_scale(self) -> Tensor:
        """The logarithm of the scale of a cosine in the class logits."""
        return self.mask_decoder.logit_scale
