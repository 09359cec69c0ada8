"""Evaluate the embedded model on photos it was not trained on: 50 of COCO val2017, or 30 held out for settings.

    python tools/tiny/evaluate.py --shared ../shared                     # the shipped weights, on val2017
    python tools/tiny/evaluate.py --shared ../shared --split held-out --work build/tiny   # while choosing settings

Two threads, about 5 minutes. Reads the packed weights, or with `--work` the parts in that folder. For the shipped
weights on val2017 writes `results/embedded-model.json`.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from assemble import build, load_packed, load_parts
from coco import Photo, splits
from PIL import Image

from maskadapter.models.ensemble import geometric_ensemble, with_void
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.encoded_image import Proposals
from maskadapter.vocabulary.vocabulary import Vocabulary

WEIGHTS = Path(__file__).parents[2] / "src/maskadapter/hub/weights/tiny.safetensors"
RESULTS = Path(__file__).parents[2] / "results" / "embedded-model.json"


def large(flags: list[bool], areas: list[float]) -> float:
    """Mean of flags over segments above 1 % of the image."""
    return float(np.mean([flag for flag, area in zip(flags, areas, strict=True) if area >= 0.01]))


@torch.inference_mode()
def evaluate(model, photos: list[Photo], settings: list[tuple[float, float]]) -> dict:
    """settings: (alpha, beta) pairs; beta does not matter here, all of COCO's classes are seen."""
    vocabulary = Vocabulary.builtin("coco-panoptic")
    encoded = model.encode_text(vocabulary)
    text = model.text_classifier(encoded)
    confusion = {pair: np.zeros((133, 133), np.int64) for pair in settings}
    right, fitting, total, class_counts = dict.fromkeys(settings, 0), dict.fromkeys(settings, 0), 0, []
    clip_right, areas, best_iou, matched, seconds = [], [], [], {"clip": [], "generator": [], "ensemble": []}, []
    for photo in photos:
        image = np.array(photo.image())
        ids, labels = photo.masks()
        start = time.perf_counter()
        inputs, sizes = model.prepare(image)
        features = model.clip.encode_image(inputs.pixels)
        proposals = model.generator(inputs, features)
        class_logits = model.class_logits(proposals, text)
        embeddings = model.mask_embeddings(inputs, features, proposals)
        out_logits = model.out_of_vocabulary_logits(features, embeddings, text)
        probs = model.combine(class_logits, out_logits, vocabulary)
        own_setting = Segmentation(image, vocabulary, proposals.mask_logits[0], probs[0], sizes).semantic()
        seconds.append(time.perf_counter() - start)

        small_ids = np.asarray(Image.fromarray(ids).resize(sizes.resized[::-1], Image.NEAREST))
        numbers = [i + 1 for i in range(len(labels)) if (small_ids == i + 1).any()]
        masks = torch.stack([torch.from_numpy(small_ids == number) for number in numbers]).float() * 20 - 10
        full = torch.full((len(numbers), *sizes.padded), -10.0)
        full[:, : sizes.resized[0], : sizes.resized[1]] = masks
        ground_truth = torch.tensor([labels[number - 1] for number in numbers])
        own_embeddings = model.mask_embeddings(inputs, features, Proposals(full[None]))
        logits = model.out_of_vocabulary_logits(features, own_embeddings, text)[0, :, :-1]
        clip_right += (logits.argmax(-1) == ground_truth).tolist()
        share = (full > 0).flatten(1).float().mean(1) * full[0].numel() / (sizes.resized[0] * sizes.resized[1])
        areas += share.tolist()

        stride = model.generator.merging.stride
        found = proposals.mask_logits[0, :, : sizes.resized[0] // stride, : sizes.resized[1] // stride] > 0
        flat = found.flatten(1).float()
        given = (full[:, : found.shape[1] * stride : stride, : found.shape[2] * stride : stride] > 0).flatten(1).float()
        shared = given @ flat.T
        iou = shared / (given.sum(1)[:, None] + flat.sum(1) - shared).clamp_min(1)
        best, which = iou.max(1)
        best_iou += best.tolist()
        combined = with_void(
            geometric_ensemble(
                class_logits[..., :-1], out_logits[..., :-1], torch.ones(133, dtype=torch.bool), settings[0][0], 1.0
            ),
            class_logits,
        )[0]
        for name, value in (("clip", out_logits[0]), ("generator", class_logits[0]), ("ensemble", combined)):
            predicted = value[which, :-1].argmax(-1)
            matched[name] += (predicted == ground_truth)[best >= 0.5].tolist()

        known = ids > 0
        target = np.asarray([0, *labels])[ids][known]
        total += int(known.sum())
        present = sorted(set(labels))
        class_counts.append(len(present))
        few = Vocabulary(tuple(vocabulary.classes[i] for i in present), tuple(vocabulary.is_thing[i] for i in present))
        few_encoded = model.encode_text(few)
        few_text = model.text_classifier(few_encoded)
        few_class_logits = model.class_logits(proposals, few_text)
        few_out = model.out_of_vocabulary_logits(features, embeddings, few_text)
        for pair in settings:
            for vocabulary_, own_logits, out, names in (
                (vocabulary, class_logits, out_logits, range(133)),
                (few, few_class_logits, few_out, present),
            ):
                ensemble = geometric_ensemble(
                    own_logits[..., :-1],
                    out[..., :-1],
                    torch.ones(len(vocabulary_), dtype=torch.bool),
                    pair[0],
                    pair[1],
                )
                if vocabulary_ is vocabulary and pair[0] == model.inference.alpha:
                    semantic = own_setting
                else:
                    semantic = Segmentation(
                        image, vocabulary_, proposals.mask_logits[0], with_void(ensemble, own_logits)[0], sizes
                    ).semantic()
                predicted = np.asarray([*names, -1])[semantic][known]
                if vocabulary_ is vocabulary:
                    right[pair] += int((predicted == target).sum())
                    valid = predicted >= 0
                    confusion[pair] += np.bincount(target[valid] * 133 + predicted[valid], minlength=133 * 133).reshape(
                        133, 133
                    )
                else:
                    fitting[pair] += int((predicted == target).sum())
    result = {
        "photographs": len(photos),
        "segments": len(areas),
        "segments_above_1_percent": int((np.array(areas) >= 0.01).sum()),
        "true_masks_clip_accuracy": float(np.mean(clip_right)),
        "true_masks_above_1_percent_clip_accuracy": large(clip_right, areas),
        "proposals_mean_best_iou_above_1_percent": large(best_iou, areas),
        "proposals_recall_at_half_above_1_percent": large([iou >= 0.5 for iou in best_iou], areas),
        "proposals_mean_best_iou": float(np.mean(best_iou)),
        "matched_proposals": len(matched["clip"]),
        **{f"matched_proposals_{name}_accuracy": float(np.mean(flags)) for name, flags in matched.items()},
        "mean_words_that_fit": float(np.mean(class_counts)),
        "seconds_per_image": float(np.mean(seconds)),
        "settings": {},
    }
    for pair in settings:
        matrix = confusion[pair]
        union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
        occurs = matrix.sum(1) > 0
        result["settings"][f"alpha {pair[0]}"] = {
            "miou_133": float((matrix.diagonal()[occurs] / union[occurs]).mean()),
            "pixel_accuracy_133": right[pair] / total,
            "pixel_accuracy_words_that_fit": fitting[pair] / total,
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/coco/")
    parser.add_argument("--work", type=Path, help="evaluate the parts in this folder instead of the packed weights")
    parser.add_argument("--split", choices=["val", "held-out"], default="val")
    parser.add_argument(
        "--alpha", type=float, nargs="+", help="CLIP's weights in the ensemble to try; default: the model's own"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    model = load_parts(build(), arguments.work).eval() if arguments.work else load_packed(WEIGHTS)
    _, held_out, val = splits(arguments.shared / "data/coco")
    alphas = arguments.alpha or [model.inference.alpha]
    result = evaluate(model, held_out if arguments.split == "held-out" else val, [(alpha, alpha) for alpha in alphas])
    print(json.dumps(result, indent=1))
    if not arguments.work and arguments.split == "val":
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
