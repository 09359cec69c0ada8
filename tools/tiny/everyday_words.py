"""Measure the text encoder where nobody trained it: everyday words, plural and upper case, and CLIP's own similarities.

Fifty words (`everyday_words.txt`, chosen before any result) that occur in no training text: is the nearest of COCO's
133 classes, by its best synonym, the one that the sentence encoder's target is nearest to? Beside it: held-out nouns,
names in plural and upper case, how far the names of the classes moved from the packed weights (the image encoder is
matched against those), and the nearest of COCO's 80 classes against true CLIP ViT-B/32 for held-out names.

    python tools/tiny/everyday_words.py --shared ../shared --work build/tiny --out results/embedded-model/text.json

Reads `text_targets.pt` and `text.safetensors` of `text_finetune.py`; needs what `text_encoder.py` needs. A minute.
"""

import argparse
import json
import random
import re
from pathlib import Path

import numpy as np
import torch
from assemble import PACKED, TEMPLATES
from open_clip_import import open_clip
from safetensors.torch import load_file
from text_encoder import Teacher, TextEncoder, retrieval
from torch.nn import functional as F

from maskadapter.vocabulary.vocabulary import Vocabulary

TOKENIZER = open_clip.get_tokenizer("ViT-B-32")


def everyday_words() -> list[str]:
    """The fifty words."""
    return Path(__file__).with_suffix(".txt").read_text().split("\n")[:-1]


def containing(texts: list[str]) -> set[str]:
    """Those of `texts` that contain an everyday word, in singular or plural, as whole words."""
    pattern = "|".join(re.escape(word.removesuffix("s")) for word in everyday_words())
    return {text for text in texts if re.search(rf"\b({pattern})(s|es)?\b", text.lower())}


def plural(name: str) -> str:
    """English plural by rule."""
    if re.search(r"[^aeiou]y$", name):
        return name[:-1] + "ies"
    return name + ("es" if re.search(r"(s|x|z|ch|sh)$", name) else "s")


def load_student(path: Path) -> TextEncoder:
    """The text encoder in a file of `pack.py` or `text_finetune.py`, in single precision."""
    prefix, student, state = "clip.model.", TextEncoder(), load_file(path)
    table = prefix + "token_embedding.factor_a"
    state[table] = state[table].float() * state.pop(table + "_scale", 1.0)
    state = {name.removeprefix(prefix).removeprefix("token_embedding."): value for name, value in state.items()}
    with torch.no_grad():  # layers that the file lacks are the identity
        for number, block in enumerate(student.transformer.resblocks):
            if f"transformer.resblocks.{number}.ln_1.weight" not in state:
                for parameter in (*block.attn.out_proj.parameters(), *block.mlp.c_proj.parameters()):
                    parameter.zero_()
    student.load_state_dict({name: state[name].float() for name in student.state_dict() if name in state}, strict=False)
    return student.eval()


@torch.no_grad()
def embed(student: TextEncoder, names: list[str], templates: tuple[str, ...] = TEMPLATES) -> torch.Tensor:
    """(len, 384) unit vectors: the mean over the templates, as the package computes it."""
    total = 0
    for template in templates:
        tokens = TOKENIZER([template.format(name) for name in names])
        total = total + student(tokens[:, : int(tokens.argmax(-1).max()) + 1])
    return F.normalize(total, dim=-1)


def class_names() -> tuple[list[str], torch.Tensor]:
    """All synonyms of COCO's 133 classes, and the class of each."""
    groups = Vocabulary.builtin("coco-panoptic").classes
    return [name for group in groups for name in group], torch.tensor(
        [i for i, group in enumerate(groups) for _ in group]
    )


def class_order(words: torch.Tensor, names: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """(N, 133) class ids, nearest first, by the best synonym of each."""
    similarity = words @ names.T
    best = torch.stack([similarity[:, classes == i].amax(1) for i in range(int(classes.max()) + 1)], dim=1)
    return best.argsort(dim=1, descending=True)


def clip_rows(shared: Path) -> tuple[list[str], torch.Tensor, int, list[int]]:
    """True CLIP ViT-B/32: names, centered unit vectors (len, 512), how many of them are for training (the rest is held
    out), rows of COCO's 80 classes (all in training).
    """
    found: dict[str, list[np.ndarray]] = {}
    for file in ("coco_80", "objects365_365", "openimages_500", "lvis_1203_detic"):
        data = np.load(shared / f"data/extra/clip_text_vitb32/{file}.npz")
        for name, row in zip(data["names"].tolist(), data["embeddings"].astype(np.float32), strict=True):
            plain = re.sub(r"_?\(.*?\)", "", name).replace("_", " ").lower().strip()
            found.setdefault(plain, []).append(row / np.linalg.norm(row))
        if file == "coco_80":
            coco = list(found)
    rest = sorted(set(found) - set(coco) - containing(list(found)))
    random.Random(0).shuffle(rest)
    names = coco + rest
    rows = F.normalize(torch.from_numpy(np.stack([np.mean(found[name], 0) for name in names])), dim=-1)
    return names, F.normalize(rows - rows.mean(0), dim=-1), len(names) - 300, list(range(len(coco)))


def against_clip(rows: torch.Tensor, true: torch.Tensor, training: int, coco: list[int]) -> dict[str, float]:
    """Held-out names: the nearest of 80 classes is CLIP's, and the correlation of all similarities with CLIP's."""
    ours, clips = rows[training:] @ rows[coco].T, true[training:] @ true[coco].T
    pairs = torch.triu_indices(len(rows) - training, len(rows) - training, 1)
    both = torch.stack([(x[training:] @ x[training:].T)[pairs[0], pairs[1]] for x in (rows, true)])
    same = (ours.argmax(1) == clips.argmax(1)).float().mean()
    return {"nearest_of_80": float(same), "correlation": float(torch.corrcoef(both)[0, 1])}


def duplicates(student: TextEncoder, names: list[str]) -> dict[str, dict[str, float]]:
    """Cosine of names with their plural and their upper case: mean, 5 % quantile."""
    listed = {name.lower() for name in names}
    singular = [name for name in names if not name.endswith("s") and plural(name).lower() not in listed]
    pairs = {
        "plural": (singular, [plural(name) for name in singular]),
        "upper_case": (names, [n.upper() for n in names]),
    }
    cosines = {key: (embed(student, a) * embed(student, b)).sum(1) for key, (a, b) in pairs.items()}
    return {key: {"mean": float(c.mean()), "q05": float(c.quantile(0.05))} for key, c in cosines.items()}


def measure(student: TextEncoder, packed: TextEncoder, data: dict, teacher: dict, clip: tuple) -> dict:
    """All figures of one text encoder. `teacher`: targets of "words" and "names"."""
    names, classes = class_names()
    ours, today = embed(student, names), embed(packed, names)
    order = class_order(embed(student, everyday_words()), ours, classes)
    wanted = class_order(teacher["words"], teacher["names"], classes)[:, 0]
    own = Vocabulary.builtin("coco-panoptic").classes
    first = len(data["names"])
    held = retrieval(student, TOKENIZER, data["held_out"], data["targets"][first : first + 1000].float())
    student.eval()
    moved = (ours * today).sum(1)
    return {
        "everyday": {
            "agreement": float((order[:, 0] == wanted).float().mean()),
            "teacher_in_top_3": float((order[:, :3] == wanted[:, None]).any(1).float().mean()),
            "nearest": {w: own[int(i)][0] for w, i in zip(everyday_words(), order[:, 0], strict=True)},
        },
        "held_out_nouns": {"cosine": held[0], "retrieval_of_1000": held[1]},
        "duplicates": duplicates(
            student, sorted({name for g in Vocabulary.builtin("lvis-v1").classes for name in g} | set(names))
        ),
        "true_clip": against_clip(embed(student, clip[0]), *clip[1:]),
        "class_names_cosine_to_packed": {"mean": float(moved.mean()), "q05": float(moved.quantile(0.05))},
        "class_names_cosine_to_teacher": float((ours * teacher["names"]).sum(1).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder with text_targets.pt and text.safetensors")
    parser.add_argument("--packed", type=Path, default=PACKED, help="weights that the fine-tuning started from")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = torch.load(arguments.work / "text_targets.pt", weights_only=False)
    teacher, names = Teacher(data["center"]), class_names()
    clip = clip_rows(arguments.shared)
    targets = {"words": teacher.targets(everyday_words()), "names": teacher.targets(names[0])}
    nearest = class_order(targets["words"], targets["names"], names[1])[:, 0]
    own = Vocabulary.builtin("coco-panoptic").classes
    result = {
        "teacher": {
            "nearest": {w: own[int(i)][0] for w, i in zip(everyday_words(), nearest, strict=True)},
            "true_clip": against_clip(teacher.targets(clip[0]), *clip[1:]),
        }
    }
    packed = load_student(arguments.packed)
    files = {"before": arguments.packed, "after": arguments.work / "text.safetensors"}
    for key, path in files.items():
        if path.exists():
            result[key] = measure(load_student(path), packed, data, targets, clip)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    for key in result:
        print(key, {name: value for name, value in result[key].items() if name != "nearest"})


if __name__ == "__main__":
    main()
