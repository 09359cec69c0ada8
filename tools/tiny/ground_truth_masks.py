"""Accuracy of mask pooling on ground-truth masks, 133 classes: all, those above 1 % of the image, things, stuff.

    python tools/tiny/ground_truth_masks.py held-out --shared ../shared  # the shipped weights
    python tools/tiny/ground_truth_masks.py held-out --shared ../shared --work build/tiny  # the encoder in that folder
    python tools/tiny/ground_truth_masks.py val --shared ../shared --work build/tiny  # once, at the end of a stage

One thread, about a minute.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from assemble import PACKED, build, load_clip, load_packed
from coco import Photo, splits
from image_losses import by_kind
from PIL import Image

from maskadapter.types.encoded_image import Proposals
from maskadapter.vocabulary.vocabulary import Vocabulary


@torch.inference_mode()
def ground_truth_masks(model, photos: list[Photo]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Whether each mask's class is found, its class, its share of the image, (N,) each."""
    text = model.text_classifier(model.encode_text(Vocabulary.builtin("coco-panoptic")))
    right, classes, areas = [], [], []
    for photo in photos:
        ids, labels = photo.masks()
        inputs, sizes = model.prepare(np.array(photo.image()))
        features = model.clip.encode_image(inputs.pixels)
        small = np.asarray(Image.fromarray(ids).resize(sizes.resized[::-1], Image.NEAREST))
        numbers = [i + 1 for i in range(len(labels)) if (small == i + 1).any()]
        masks = torch.full((len(numbers), *sizes.padded), -10.0)
        for mask, number in zip(masks, numbers, strict=True):
            mask[: small.shape[0], : small.shape[1]][torch.from_numpy(small == number)] = 10.0
        embeddings = model.mask_embeddings(inputs, features, Proposals(masks[None]))
        logits = model.out_of_vocabulary_logits(features, embeddings, text)[0, :, :-1]
        true = torch.tensor([labels[number - 1] for number in numbers])
        right.append((logits.argmax(-1) == true).float())
        classes.append(true)
        areas.append(torch.tensor([float((small == number).mean()) for number in numbers]))
    return torch.cat(right), torch.cat(classes), torch.cat(areas)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("split", choices=["held-out", "val"])
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, help="measure the encoders in this folder instead of the packed weights")
    parser.add_argument("--image-encoder", default="image_encoder.pt", help="file of `--work`")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if arguments.work:
        model = build().eval()
        load_clip(model, arguments.work, arguments.image_encoder)
    else:
        model = load_packed(PACKED)
    _, held_out, val = splits(arguments.shared / "data/coco")
    found = ground_truth_masks(model, held_out if arguments.split == "held-out" else val)
    print(json.dumps({"masks": len(found[0]), **by_kind(*found)}))


if __name__ == "__main__":
    main()
