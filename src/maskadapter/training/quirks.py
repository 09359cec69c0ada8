"""Accidents of the official training that a recipe may repeat."""

from typing import Literal

from maskadapter.training.section import Section

DecayedParameters = Literal["official", "matrices"]


class TrainingQuirks(Section):
    """Accidents of the official training, off by default; only with them can published rows be repeated.

    Source: official code of Mask-Adapter, packages mask_adapter (warm-up), fcclip and maft (mixed stage).
    """

    soft_mask_edges: bool = False
    """Paired masks are resized from stride 4 to the input and down again, which blurs their edges; at inference they
    are not. Source: official fcclip and maft, both True."""

    unmatched_slots: Literal["empty", "full", "ignored"] = "ignored"
    """What a slot for a predicted mask holds that found no pair. ``"ignored"``: it does not count. ``"empty"``: two
    empty masks, which dilute the consistency loss. Source: official fcclip. ``"full"``: a mask of the whole image,
    drawn towards an empty one. Source: official maft, where logits of 0 lie above the threshold."""

    detach_ground_truth: bool = True
    """The consistency loss moves the predicted mask's embedding alone. Source: official fcclip True, maft False."""

    decayed_parameters: DecayedParameters = "matrices"
    """Which parameters weight decay draws to zero. ``"matrices"``: those of two dimensions or more, embeddings
    excepted. ``"official"``: all but PyTorch's own LayerNorms and embeddings; the norms inside the official adapter's
    blocks and patchifying layers are its own. Source: official Trainer.build_optimizer."""

    loss_normalization: Literal["process", "global"] = "global"
    """What the adapter's losses are divided by: the masks of the whole batch, however it is split (``"global"``), or of
    this process's images. Source: official criteria."""

    clip_stochastic_depth: bool = False
    """CLIP is frozen and yet leaves out layers at random. Source: official maft, which calls ``train()`` on the whole
    model; there from the first evaluation on."""

    train_void_embedding: bool | None = None
    """Whether the void embedding is trained. Null: not in the mixed stage, where it would drift away from the frozen
    mask generator that was trained with it. Source: official fcclip trains it there too, maft does not."""

    text_transfer_norm: Literal["sum", "update"] | None = None
    """Where MAFT+'s text transfer has its norm during training, see ``ContentDependentTransfer``; null is the model's
    own place. Source: the official warm-up uses ``"update"``, whatever the second stage and inference do."""


RECOMMENDED = TrainingQuirks()
"""No quirk."""
