"""Content-dependent transfer: MAFT+ lets every image adjust the text embeddings. Source: MAFT+, section 3.3."""

from torch import Tensor, nn

from maskadapter.models.config import NormPlacement
from maskadapter.models.proposals.mask2former.pixel_decoder import sine_position_encoding


class ContentDependentTransfer(nn.Module):
    """Text embeddings attend to the image's dense features and are updated by the result. dim: D. num_heads: 8 as
    published. norm: see ``UpstreamQuirks.transfer_norm``."""

    def __init__(self, dim: int, num_heads: int = 8, norm: NormPlacement = "sum") -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.linear = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.norm_placement = norm

    def forward(self, text_embeddings: Tensor, projected: Tensor) -> Tensor:
        """Text embeddings (S + 1, D), void last, and projected features (B, D, h, w) -> (B, S + 1, D), any length."""
        text = text_embeddings.expand(len(projected), -1, -1)
        features = projected.flatten(-2).transpose(1, 2)
        position = sine_position_encoding(projected, projected.shape[1]).flatten(-2).transpose(1, 2)
        update, _ = self.attention(text, features + position, features, need_weights=False)
        update = self.linear(update)
        return self.norm(text + update) if self.norm_placement == "sum" else text + self.norm(update)
