"""Fine-tune the packed text encoder on more words, plurals, CLIP's similarities and the names of COCO's classes.

More than half of the 20,000 most frequent whole words of the tokenizer never occurred in the first training, and hardly
any free compound. Added here: those words, random compounds ("cargo kettle") and plurals with the target of their
singular. 1,285 names are also drawn to the similarities of true CLIP ViT-B/32 among them. The names of COCO's classes
are in every batch: the image encoder is matched against them. Layers that the packed encoder lacks begin as the
identity.

    python tools/tiny/text_finetune.py --shared ../shared --work build/tiny

Needs what `text_encoder.py` needs. One thread: 6 minutes for the targets; two: `--minutes`. Writes `text_targets.pt`,
`text_more_targets.pt` and `text.safetensors`: the tensors of the text encoder under the names of `pack.py` in half
precision, which `assemble.load_text` reads.
"""

import argparse
import math
import random
import time
from pathlib import Path

import torch
from assemble import PACKED, text_state
from everyday_words import TOKENIZER, class_names, clip_rows, containing, load_student, plural
from safetensors.torch import save_file
from text_encoder import TEMPLATES, Teacher, TextEncoder, build_targets, retrieval
from torch import nn
from torch.nn import functional as F

COMPOUNDS, PLURALS = 40_000, 0.15  # number; share of names shown in plural
ANCHORS, CLIP_NAMES = 48, 96  # of the classes' names and of CLIP's names in a batch
TABLE_RATE, RATE = 3e-3, 1e-3
RELATION, CLIP, ANCHOR = 0.3, 0.1, 2.0  # weights of the losses, against 1 for the cosine to the target


def whole_words() -> list[str]:
    """The 20,000 most frequent whole words of CLIP's tokenizer that look English. (Of the rest, many are hashtags.)"""
    words = (token[:-4] for token in TOKENIZER.encoder if token.endswith("</w>"))
    return [word for word in words if len(word) > 2 and word.isascii() and word.isalpha()][:20_000]


def more_texts(data: dict) -> list[str]:
    """Words and compounds that are neither known yet nor held out nor an everyday word."""
    rng, words = random.Random(2), whole_words()
    nouns = sorted(set(words) & set(data["names"]))
    before, after = [words, nouns], [data["listed"], nouns, data["listed"]]
    compounds = {f"{rng.choice(before[i % 2])} {rng.choice(after[i % 3])}" for i in range(COMPOUNDS)}
    texts = (set(words) | compounds) - set(data["names"]) - set(data["held_out"])
    return sorted(texts - containing(sorted(texts)))


def more_targets(data: dict, clip_names: list[str], path: Path) -> dict:
    """{"texts", "targets" (len, 384) float16} of the added texts and, last, of CLIP's names."""
    texts = more_texts(data) + clip_names
    result = {"texts": texts, "targets": Teacher(data["center"]).targets(texts).half()}
    torch.save(result, path)
    return result


def tokenize(texts: list[str]) -> torch.Tensor:
    """(len, longest) token ids."""
    tokens = TOKENIZER(texts)
    return tokens[:, : int(tokens.argmax(-1).max()) + 1]


def relational(similarity: torch.Tensor, wanted: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divergence of row-wise distributions over similarities (N, M)."""
    target = (wanted / temperature).softmax(-1)
    return F.kl_div((similarity / temperature).log_softmax(-1), target, reduction="batchmean")


def train(student: TextEncoder, data: dict, more: dict, clip: tuple, minutes: float, batch: int) -> None:
    torch.manual_seed(0)
    rng = random.Random(0)
    names, listed = data["names"], set(data["listed"])
    first = len(names) + len(data["held_out"])
    base = data["targets"].float()
    targets = torch.cat([base, more["targets"].float()])
    known = {name.lower() for name in names}
    # (text, its target's row, is a name, plural or None)
    entries = []
    for i, name in enumerate(names):
        many = plural(name)
        many = None if name.endswith("s") or name[:1].isupper() or many.lower() in known else many
        entries += [(name, i, True, many)] * (3 if name in listed else 1)
    entries += [(text, first + i, True, None) for i, text in enumerate(data["phrases"])]
    second = first + len(data["phrases"])
    entries += [(text, second + i, False, None) for i, text in enumerate(data["captions"])]
    entries += [(text, len(base) + i, True, None) for i, text in enumerate(more["texts"])]
    clip_names, true, training, _ = clip
    row_of = {name.lower(): i for i, name in enumerate(names)} | {name: i for i, name in enumerate(names)}
    rows = {name: row_of.get(name, row_of[name.lower()]) for name in sorted(set(class_names()[0]))}
    anchors = [(template.format(name), row) for name, row in rows.items() for template in TEMPLATES[:2]]
    student.train()
    table = [student.factor_a]
    rest = [parameter for name, parameter in student.named_parameters() if name != "factor_a"]
    groups = [{"params": table, "peak": TABLE_RATE}, {"params": rest, "peak": RATE}]
    optimizer = torch.optim.AdamW(groups, lr=0, betas=(0.9, 0.98), weight_decay=1e-4, fused=True)
    start, step, done = time.time(), 0, 0.0
    while done < 1:
        rng.shuffle(entries)
        texts = []
        for text, row, is_name, many in entries:
            if row < len(names) and text not in listed and rng.random() < 0.5:
                continue  # these were seen most in the first training
            text = many if many and rng.random() < PLURALS else text
            texts.append((rng.choices(TEMPLATES, (4, 4, 1, 1))[0].format(text) if is_name else text, row))
        order = sorted(range(len(texts)), key=lambda i: len(texts[i][0]) + rng.random() * 8)
        batches = [order[i : i + batch] for i in range(0, len(order), batch)]
        rng.shuffle(batches)
        for chosen in batches:
            done = (time.time() - start) / 60 / minutes
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done))
            target = targets[[texts[i][1] for i in chosen]]
            with torch.autocast("cpu", torch.bfloat16):
                output = student(tokenize([texts[i][0] for i in chosen])).float()
            cosine = 1 - (output * target).sum(-1).mean()
            relation = relational(output @ target.T, target @ target.T, 0.05)
            held = rng.sample(anchors, ANCHORS)
            among = rng.sample(range(training), CLIP_NAMES)
            template = rng.choice(TEMPLATES[:2])
            with torch.autocast("cpu", torch.bfloat16):
                sides = student(
                    tokenize([text for text, _ in held] + [template.format(clip_names[i]) for i in among])
                ).float()
            anchor = 1 - (sides[:ANCHORS] * base[[row for _, row in held]]).sum(-1).mean()
            ours, other = sides[ANCHORS:] @ sides[ANCHORS:].T, true[among] @ true[among].T
            clips = relational(ours, other, 0.1)
            loss = cosine + RELATION * relation + ANCHOR * anchor + CLIP * clips
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % 100 == 0:
                losses = f"cosine {1 - cosine.item():.3f} anchor {1 - anchor.item():.3f} clip {clips.item():.3f}"
                print(f"step {step} minute {(time.time() - start) / 60:.1f} {losses}", flush=True)
            if step % 1000 == 0:
                print(retrieval(student, TOKENIZER, data["held_out"], base[len(names) : first]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument("--packed", type=Path, default=PACKED, help="weights to start from")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--batch", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    path = arguments.work / "text_targets.pt"
    data = torch.load(path, weights_only=False) if path.exists() else build_targets(arguments.shared, path)
    clip = clip_rows(arguments.shared)
    path = arguments.work / "text_more_targets.pt"
    more = torch.load(path, weights_only=False) if path.exists() else more_targets(data, clip[0], path)
    print(len(data["names"]), "names", len(more["texts"]), "added", clip[2], "of CLIP", flush=True)
    student = load_student(arguments.packed)
    train(student, data, more, clip, arguments.minutes, arguments.batch)
    state = text_state(student.state_dict())
    packed = {f"clip.model.{name}": value.detach().half().contiguous() for name, value in state.items()}
    save_file(packed, arguments.work / "text.safetensors")


if __name__ == "__main__":
    main()
