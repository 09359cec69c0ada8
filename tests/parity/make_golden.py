"""Write the golden files from the official recordings: ``python tests/parity/make_golden.py FIXTURES_FOLDER``.

A golden folder keeps the tensors at which a stage begins or ends and the weights of its parts, without CLIP's text
encoder
and trunk and without what else would exceed a few megabytes; ``stages`` passes recorded results on in their place.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import maskadapter.models  # noqa: F401 (declares what timm needs)

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from parity.fixture import GOLDEN, Recording, read_official
from parity.stages import sampled

ADAPTER = [
    "clip.res5",
    "clip_vis_dense_proj",
    "text_classifier_novoid",
    "pred_masks",
    "pred_logits",
    "adapter.in_masks",
]
ADAPTER += ["out_vocab_logits_with_void"]
RESULTS = ["mask_cls_probs", "category_overlapping_mask"]
CLIP_HEAD = ("clip.model.logit_scale", "clip.model.visual.head.", "clip.model.visual.trunk.head.")
POOLED = ["pooled_clip_feature"]
GENERATOR = ["clip.res2", "clip.res3", "clip.res4", "adapter.raw_maps", "dec.pred_logits0"]
# Recording: cases, tensors, weights.
PARTS = {
    "tiny_fcclip": (("A",), ADAPTER + RESULTS + GENERATOR, ("generator.", "pooler.", "void_embedding.")),
    "tiny_maft": (("A", "B"), ADAPTER + POOLED + RESULTS, ("pooler.", "void_embedding.", *CLIP_HEAD)),
}
# Of the recorded step of training: what CLIP and the generator gave, what was drawn, losses, small gradients.
STEP = "tiny_maft"
STEP_TENSORS = ["clip_feature", "clip_vis_dense", "text_classifier", "mask_pred_results", "labels", "all_labels"]
STEP_TENSORS += ["mask_cls_results", "match.matched_labels", "loss_ce", "loss_cosine", "iou0", "iou1"]
STEP_TENSORS += [f"gt_{what}{b}" for what in ("masks", "classes") for b in range(2)]
MOST_NUMBERS = 2000  # of a gradient
LISTS = ["panoptic_seg", "inst_scores", "inst_pred_classes", "inst_pred_masks"]


def main(fixtures: Path) -> None:
    for name, (cases, keys, prefixes) in PARTS.items():
        recording = read_official(fixtures / name)
        folder = GOLDEN / name
        folder.mkdir(parents=True, exist_ok=True)
        settings = asdict(recording.settings)
        for by_case in ("frames", "segments"):
            settings[by_case] = {case: settings[by_case][case] for case in cases if case in settings[by_case]}
        (folder / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
        tensors = _tensors(recording, cases, keys + LISTS)
        if name == STEP:
            tensors |= _step(recording)
        np.savez_compressed(folder / "tensors.npz", **tensors)
        weights = {key: tensor.contiguous() for key, tensor in recording.weights.items() if key.startswith(prefixes)}
        save_file(weights, folder / "weights.safetensors")


def _step(recording: Recording) -> dict[str, np.ndarray]:
    kept = {f"train.{key}": recording.tensors[f"train.{key}"] for key in STEP_TENSORS}
    changes = ("train.grad.", "train.after_step.")
    small = {key: t for key, t in recording.tensors.items() if key.startswith(changes) and t.size <= MOST_NUMBERS}
    return kept | small


def _tensors(recording: Recording, cases: tuple[str, ...], keys: list[str]) -> dict[str, np.ndarray]:
    kept = {}
    for case in cases:
        kept |= {
            f"{case}.{key}": recording.tensors[f"{case}.{key}"] for key in keys if f"{case}.{key}" in recording.tensors
        }
        scores = torch.from_numpy(recording.tensors[f"{case}.sem_seg"])
        kept[f"{case}.sem_seg_sampled"] = sampled(scores).numpy()
    return kept


if __name__ == "__main__":
    main(Path(sys.argv[1]))
