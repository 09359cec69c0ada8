"""The paper's tables as data: what each row is made with, what each column metrics, what was published. Data only.

A value that is not here is not known here. Sources: the paper (arXiv 2412.04533), the official README, and where the
paper itself was not at hand, notes of others that quote it.
"""

from collections.abc import Mapping

from maskadapter.errors import MaskAdapterError
from maskadapter.paper.published import published_miou, published_row
from maskadapter.paper.tables.table import TRUE_MASKS, Column, Published, Row, Table
from maskadapter.pipelines.model_evaluation import Branch

_A150 = "ade20k-150"
_SETS = {
    "A-847": "ade20k-847",
    "PC-459": "pascal-context-459",
    "A-150": _A150,
    "PC-59": "pascal-context-59",
    "PAS-20": "pascal-voc-20",
}
_MODELS = {"FC-CLIP": "fcclip-large", "MAFT+ base": "maftplus-base", "MAFT+ large": "maftplus-large"}
_EMBEDDINGS = {"mask pooling": "pooling", "Mask-Adapter": "adapter"}

_TABLE_1 = "paper, table 1, and the same figures in the official README"
_TABLE_2 = "paper, table 2, as a third party's note quotes it"
_FIGURE_1 = (
    "paper, figure 1, accuracy on the ground-truth masks of A-150, about, as a third party's note quotes it; which CLIP it was "
    "measured with, the note does not say"
)

_CLIPSELF = (
    "its image encoder is EVA-CLIP's, of which no cells can be pooled here, and its published files have the keys of "
    "EVA-CLIP's own code, which open_clip does not read"
)

_MIOU = (Column("mIoU", _A150, "mIoU"),)
_SEEN = (
    Column("seen", _A150, "mIoU seen"),
    Column("unseen", _A150, "mIoU unseen"),
    *_MIOU,
)
_ON_TRUE_MASKS = (
    Column("accuracy", _A150, "accuracy of class masks", proposals=TRUE_MASKS),
    Column("ground-truth masks", _A150, "mIoU", proposals=TRUE_MASKS),
)
_SPLIT_IS_OURS = (
    "Seen and unseen: the paper split A-150 by hand into 74 and 76 classes and did not publish how. Here a class is "
    "seen where it shares a synonym with COCO panoptic (64 of A-150's), unless --split says otherwise: the paper's "
    "figures of the two are no yardstick for these."
)
_AFTER_WARMUP = (
    "Whether the paper has accuracy or mIoU of the ground-truth masks here is not known: both are measured. The official code "
    "paints the named masks and takes the mIoU."
)


def _known(source: str, **percent: float) -> dict[str, Published]:
    return {key: Published(value, source) for key, value in percent.items()}


def _table_2_figures(model: str, pooler: str) -> tuple[float, ...]:
    """Seen, unseen and all classes of A-150; empty where the paper has none."""
    row = published_row(model, pooler, "out-of-vocabulary")
    return () if row is None else tuple(row.percent["A-150"].values())


def _without_ensemble(seen: float, unseen: float, both: float) -> dict[str, Published]:
    return _known(_TABLE_2, seen=seen, unseen=unseen, mIoU=both)


def _rows_by_embedding(of: str, source: Mapping[str, Mapping[str, Published]], branch: Branch) -> tuple[Row, ...]:
    """A published model with its own pooling, and with Mask-Adapter. source: published figures by pooler."""
    return tuple(
        Row(
            of,
            how,
            _MODELS[of],
            pooler,
            branch,
            against=f"{of}: mask pooling" if pooler == "adapter" else "",
            published=source.get(pooler, {}),
        )
        for how, pooler in _EMBEDDINGS.items()
    )


def _trained(
    how: str, recipe: str, branch: Branch = "ensemble", joined: bool = False, against: str = "", note: str = ""
) -> Row:
    return Row("FC-CLIP", how, "fcclip-large", branch=branch, recipe=recipe, joined=joined, against=against, note=note)


def _table_1() -> Table:
    columns = tuple(Column(key, dataset, "mIoU") for key, dataset in _SETS.items())
    rows: list[Row] = []
    for of, model in _MODELS.items():
        published = {name: _known(_TABLE_1, **published_miou(model, name)) for name in _EMBEDDINGS.values()}
        rows += _rows_by_embedding(of, published, "ensemble")
    return Table("table1", "Main results, mIoU with ensemble", columns, tuple(rows))


def _table_2() -> Table:
    proposals = "segmenter:facebook/mask2former-swin-large-coco-panoptic"
    mask2former = [
        Row(
            "FC-CLIP",
            f"Mask2Former, {how}",
            "fcclip-large",
            pooler,
            proposals=proposals,
            against="FC-CLIP: Mask2Former, mask pooling" if pooler == "adapter" else "",
            published=_without_ensemble(*figures),
        )
        for (how, pooler), figures in zip(_EMBEDDINGS.items(), ((34.8, 17.5, 26.0), (45.3, 21.8, 33.4)), strict=True)
    ]
    rows = list(mask2former)
    for of, model in _MODELS.items():
        published = {
            pooler: _without_ensemble(*figures)
            for pooler in _EMBEDDINGS.values()
            if (figures := _table_2_figures(model, pooler))
        }
        rows += _rows_by_embedding(of, published, "out-of-vocabulary")
    notes = (
        _SPLIT_IS_OURS,
        f"Which Mask2Former the paper took is not known; here it is {proposals.partition(':')[2]}, and its masks are "
        "named by FC-CLIP's CLIP.",
    )
    return Table("table2", "Seen and unseen classes, without ensemble", _SEEN, tuple(rows), notes, "coco-panoptic")


def _table_3() -> Table:
    def about(percent: float) -> dict[str, Published]:
        return {"accuracy": Published(percent, _FIGURE_1, approximate=True)}

    crop = "CLIP ViT-L/14: mask cropping"
    rows = (
        Row("CLIP ViT-L/14", "mask cropping", "clip:ViT-L-14-quickgelu:openai", "cropping", published=about(47)),
        Row("OVSeg's CLIP", "mask cropping", "clip:ViT-L-14-quickgelu:{}", "cropping", file="ovseg", against=crop),
        Row(
            "CLIP ConvNeXt-L",
            "mask pooling",
            "clip:convnext_large_d_320:laion2b_s29b_b131k_ft_soup",
            "pooling",
            against=crop,
            published=about(51),
        ),
        Row("CLIPSelf", "mask pooling", cited=_CLIPSELF),
        Row("FC-CLIP", "Mask-Adapter", "fcclip-large", against="CLIP ConvNeXt-L: mask pooling", published=about(69)),
    )
    columns = (
        *_ON_TRUE_MASKS,
        Column("segments", _A150, "accuracy of segments", proposals=TRUE_MASKS),
    )
    notes = (
        "Of semantic labels a segment is all that one class covers, so that on A-150 both accuracies are of the same "
        "masks.",
    )
    return Table("table3", "From mask to embedding, on ground-truth masks", columns, rows, notes)


def _table_4() -> Table:
    pooling = "FC-CLIP: mask pooling"
    published = {"pooling": _without_ensemble(*_table_2_figures("fcclip-large", "pooling"))}
    rows = (
        _rows_by_embedding("FC-CLIP", published, "out-of-vocabulary")[0],
        _trained(
            "warm-up alone",
            "table4/warmup-alone",
            "out-of-vocabulary",
            joined=True,
            against=pooling,
            note="others quote the paper: +10.1 on seen, +5.3 on unseen classes over mask pooling",
        ),
        _trained("second stage alone", "table4/mixed-alone", "out-of-vocabulary", against=pooling),
        _trained(
            "both, no consistency",
            "table4/no-consistency",
            "out-of-vocabulary",
            against=pooling,
            note="others quote the paper: the warm-up brings +0.3",
        ),
        _trained(
            "both stages",
            "table4/both-stages",
            "out-of-vocabulary",
            against=pooling,
            note="others quote the paper: the consistency loss brings +0.8",
        ),
    )
    return Table("table4", "Training strategy, without ensemble", _SEEN, rows, (_SPLIT_IS_OURS,), "coco-panoptic")


def _table_5() -> Table:
    rows = (
        _trained("Hungarian", "table5/hungarian"),
        _trained("IoU above 0.7", "table5/iou-0.7", against="FC-CLIP: Hungarian", note="trained as table 1's row"),
    )
    return Table("table5", "Matcher, with ensemble", _SEEN, rows, (_SPLIT_IS_OURS,), "coco-panoptic")


def _after_warmup(name: str, title: str, rows: dict[str, str], columns: tuple[Column, ...]) -> Table:
    """rows: in words -> recipe; the others are compared with the first."""
    first = f"FC-CLIP: {next(iter(rows))}"
    made = (
        _trained(how, f"{name}/{recipe}", joined=True, against=first if f"FC-CLIP: {how}" != first else "")
        for how, recipe in rows.items()
    )
    return Table(name, f"{title}, after the warm-up", columns, tuple(made), (_AFTER_WARMUP,))


def _table_8() -> Table:
    source = "paper, table 8; appendix C has 31.4"
    rows = (
        Row("MAFT", "its own embedding", cited="cited by the paper; this program does not have MAFT"),
        Row(
            "FC-CLIP",
            "Mask-Adapter",
            "fcclip-large",
            proposals="sam:facebook/sam-vit-huge,rest=no",
            published=_known(source, mIoU=31.5),
        ),
        Row(
            "FC-CLIP",
            "Mask-Adapter, the rest too",
            "fcclip-large",
            proposals="sam:facebook/sam-vit-huge",
            against="FC-CLIP: Mask-Adapter",
        ),
    )
    notes = (
        "Which of its adapters the paper gave SAM's masks to is not known; here it is FC-CLIP's.",
        "What the paper did with pixels that none of SAM's masks holds is not known either: its figure stands beside "
        "the plain rule, by which they take what the masks lend them from afar; with the rest, each connected piece of "
        "them is a mask of its own.",
    )
    return Table("table8", "SAM's masks, named by the embedding alone", _MIOU, rows, notes)


def _table_9() -> Table:
    rows = (
        _trained("no consistency loss", "table9/consistency-off"),
        _trained(
            "consistency loss",
            "table9/consistency-on",
            against="FC-CLIP: no consistency loss",
            note="trained as table 1's row",
        ),
    )
    return Table("table9", "Consistency loss, with ensemble", _SEEN, rows, (_SPLIT_IS_OURS,), "coco-panoptic")


def _table_11() -> Table:
    alone = _table_2_figures("fcclip-large", "adapter")[2]
    first = "FC-CLIP: the generator alone"
    rows = (
        Row("FC-CLIP", "the generator alone", "fcclip-large", branch="in-vocabulary"),
        Row(
            "FC-CLIP",
            "Mask-Adapter alone",
            "fcclip-large",
            branch="out-of-vocabulary",
            against=first,
            published=_known(f"the same row in {_TABLE_2}", mIoU=alone),
        ),
        Row(
            "FC-CLIP",
            "ensemble",
            "fcclip-large",
            against=first,
            published=_known(f"the same row in {_TABLE_1}", mIoU=published_miou("fcclip-large", "adapter")["A-150"]),
        ),
    )
    return Table("table11", "Whose opinion counts", _MIOU, rows)


_DESIGN = {
    "published design": "published-design",
    "one 4x4 convolution": "one-4x4",
    "concatenated": "concatenate",
    "without CLIP's features": "without-features",
    "2 blocks": "2-blocks",
    "4 blocks": "4-blocks",
}
_DATA = {
    "COCO panoptic": "on-coco-panoptic",
    "COCO-Stuff": "on-coco-stuff",
    "LVIS": "on-lvis",
    "COCO panoptic and LVIS": "on-coco-panoptic-and-lvis",
    "COCO-Stuff and LVIS": "on-coco-stuff-and-lvis",
}

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        _table_1(),
        _table_2(),
        _table_3(),
        _table_4(),
        _table_5(),
        _after_warmup("table6", "Design", _DESIGN, (*_ON_TRUE_MASKS, *_MIOU)),
        _after_warmup("table7", "Data of the warm-up", _DATA, (*_ON_TRUE_MASKS, *_MIOU)),
        _table_8(),
        _table_9(),
        _after_warmup(
            "table10",
            "Number of activation maps",
            {"1 map": "1-map", "16 maps": "16-maps"},
            (*_ON_TRUE_MASKS, *_MIOU, Column("alone", _A150, "mIoU", branch="out-of-vocabulary")),
        ),
        _table_11(),
    )
}


def table_named(name: str) -> Table:
    """A table by its name, ``table3`` or ``3``. Raises MaskAdapterError."""
    table = TABLES.get(name if name.startswith("table") else f"table{name}")
    if table is None:
        raise MaskAdapterError(f"no table '{name}': choose from {', '.join(TABLES)}")
    return table
