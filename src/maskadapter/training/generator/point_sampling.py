"""Points at which masks are compared instead of at every pixel, most of them where the prediction is uncertain.

Source: Mask2Former, section 3.3.2; PointRend, section 3.1. Points are (x, y) in 0 to 1, (0, 0) the upper left corner of
the image. They are drawn on the CPU, wherever the masks are: the same seed gives the same points everywhere.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Source: FC-CLIP's configuration, TRAIN_NUM_POINTS (a grid of 112 x 112), OVERSAMPLE_RATIO, IMPORTANCE_SAMPLE_RATIO.
NUM_POINTS = 12_544
OVERSAMPLE = 3.0
IMPORTANCE = 0.75


def sample_at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Values of maps at points, bilinear.

    maps: (N, h, w) float. points: (P, 2), the same for all maps, or (N, P, 2), each map its own. Returns (N, P); beyond
    the centers of the outermost locations a map fades to 0.
    """
    shared = points.ndim == 2
    stacked, grid = (maps[None], points[None, :, None]) if shared else (maps[:, None], points[:, :, None])
    values = F.grid_sample(stacked, 2 * grid.to(maps) - 1, mode="bilinear", align_corners=False)
    return values[0, :, :, 0] if shared else values[:, 0, :, 0]


def uniform_points(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Points drawn uniformly over the image, (*shape, 2)."""
    return torch.rand(*shape, 2, generator=rng)


@torch.no_grad()
def uncertain_points(
    mask_logits: Tensor,
    num_points: int,
    rng: torch.Generator,
    oversample: float = OVERSAMPLE,
    importance: float = IMPORTANCE,
) -> Tensor:
    """Points for each mask: the ``importance`` part near its outline, the rest anywhere.

    mask_logits: (N, h, w). oversample: at least 1; so many times ``num_points`` are drawn, and those kept whose logits
    are nearest to 0. Close to the image's border every logit is, see ``sample_at_points``, as in the official code.
    importance: 0 to 1. Returns (N, num_points, 2).
    """
    count, chosen = len(mask_logits), int(importance * num_points)
    drawn = uniform_points((count, int(oversample * num_points)), rng).to(mask_logits.device)
    uncertain = sample_at_points(mask_logits, drawn).abs().topk(chosen, dim=1, largest=False).indices
    nearest = drawn.gather(1, uncertain[:, :, None].expand(-1, -1, 2))
    anywhere = uniform_points((count, num_points - chosen), rng).to(mask_logits.device)
    return torch.cat([nearest, anywhere], dim=1)
