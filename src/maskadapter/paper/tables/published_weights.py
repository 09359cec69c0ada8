"""Tables 1, 2, 3, 8 and 11: rows that need published weights and no training."""

from maskadapter.paper.published import DATASETS, published_miou, published_row
from maskadapter.paper.tables.columns import (
    A150,
    MIOU,
    ON_GROUND_TRUTH_MASKS,
    PARTITION_NOTE,
    SEEN_AND_UNSEEN,
)
from maskadapter.paper.tables.table import Column, Published, Row, Table
from maskadapter.pipelines import GROUND_TRUTH, Branch

_MODELS = {"FC-CLIP": "fcclip-large", "MAFT+ base": "maftplus-base", "MAFT+ large": "maftplus-large"}
_POOLERS = {"mask pooling": "pooling", "Mask-Adapter": "adapter"}

_TABLE_1 = "paper, table 1, and the same figures in the official README"
_TABLE_2 = "paper, table 2, as a third party's note quotes it"
_TABLE_8 = "paper, table 8; appendix C has 31.4"
_FIGURE_1 = (
    "paper, figure 1, accuracy on the ground-truth masks of A-150, about, as a third party's note quotes it; which "
    "CLIP it was measured with, the note does not say"
)

_CLIPSELF = (
    "its image encoder is EVA-CLIP's, whose patch features cannot be pooled here, and its published files have the "
    "keys of EVA-CLIP's own code, which open_clip does not read"
)


def table_1() -> Table:
    """Main results: every model with mask pooling and with Mask-Adapter, on five data sets."""
    columns = tuple(Column(key, DATASETS[key], "mIoU") for key in ("A-847", "PC-459", "A-150", "PC-59", "PAS-20"))
    rows = (row for of in _MODELS for row in rows_by_pooler(of, "ensemble"))
    return Table("table1", "Main results, mIoU with ensemble", columns, tuple(rows))


def table_2() -> Table:
    """Seen and unseen classes of A-150 without the ensemble, with each model's own masks and with Mask2Former's."""
    masks = "segmenter:facebook/mask2former-swin-large-coco-panoptic"
    rows = [
        Row(
            "FC-CLIP",
            f"Mask2Former, {how}",
            "fcclip-large",
            pooler,
            masks=masks,
            against="FC-CLIP: Mask2Former, mask pooling" if pooler == "adapter" else "",
            published=_figures(_TABLE_2, **dict(zip(("seen", "unseen", "mIoU"), figures, strict=True))),
        )
        for (how, pooler), figures in zip(_POOLERS.items(), ((34.8, 17.5, 26.0), (45.3, 21.8, 33.4)), strict=True)
    ]
    rows += [row for of in _MODELS for row in rows_by_pooler(of, "out-of-vocabulary")]
    notes = (
        PARTITION_NOTE,
        f"Which Mask2Former the paper used is not known; here it is {masks.partition(':')[2]}, and its masks are "
        "classified by FC-CLIP's CLIP.",
    )
    title = "Seen and unseen classes, without ensemble"
    return Table("table2", title, SEEN_AND_UNSEEN, tuple(rows), notes, "coco-panoptic")


def table_3() -> Table:
    """Mask cropping, mask pooling and Mask-Adapter on the ground-truth masks of A-150."""

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
    columns = (*ON_GROUND_TRUTH_MASKS, Column("segments", A150, "accuracy of segments", masks=GROUND_TRUTH))
    notes = (
        "In semantic labels a segment is everything that one class covers, so that on A-150 both accuracies are of the "
        "same masks.",
    )
    return Table("table3", "From mask to embedding, on ground-truth masks", columns, rows, notes)


def table_8() -> Table:
    """SAM's masks, classified by FC-CLIP's Mask-Adapter."""
    rows = (
        Row("MAFT", "its own embedding", cited="cited by the paper; this program does not have MAFT"),
        Row(
            "FC-CLIP",
            "Mask-Adapter",
            "fcclip-large",
            masks="sam:facebook/sam-vit-huge,rest=no",
            published=_figures(_TABLE_8, mIoU=31.5),
        ),
        Row(
            "FC-CLIP",
            "Mask-Adapter, the rest too",
            "fcclip-large",
            masks="sam:facebook/sam-vit-huge",
            against="FC-CLIP: Mask-Adapter",
        ),
    )
    notes = (
        "Which of its adapters the paper used with SAM's masks is not known; here it is FC-CLIP's.",
        "Nor is it known what the paper does with pixels outside all of SAM's masks. Its figure stands beside the "
        "plain rule: such a pixel gets the class with the highest score, however low the scores are so far from every "
        "mask. In the last row each connected region of such pixels is a mask of its own.",
    )
    return Table("table8", "SAM's masks, out-of-vocabulary classifier alone", MIOU, rows, notes)


def table_11() -> Table:
    """Each of the two classifiers alone, and their ensemble."""
    alone = _published("fcclip-large", "adapter", "out-of-vocabulary")["mIoU"].percent
    both = published_miou("fcclip-large", "adapter")["A-150"]
    first = "FC-CLIP: in-vocabulary classifier alone"
    rows = (
        Row("FC-CLIP", "in-vocabulary classifier alone", "fcclip-large", branch="in-vocabulary"),
        Row(
            "FC-CLIP",
            "Mask-Adapter alone",
            "fcclip-large",
            branch="out-of-vocabulary",
            against=first,
            published=_figures(f"the same row in {_TABLE_2}", mIoU=alone),
        ),
        Row(
            "FC-CLIP",
            "ensemble",
            "fcclip-large",
            against=first,
            published=_figures(f"the same row in {_TABLE_1}", mIoU=both),
        ),
    )
    return Table("table11", "Each classifier alone, and both", MIOU, rows)


def rows_by_pooler(of: str, branch: Branch) -> tuple[Row, ...]:
    """Return the rows of a published model: with its own mask pooling, and with Mask-Adapter.

    of: the paper's name of the model. branch: ``ensemble``, as in table 1, or ``out-of-vocabulary``, as in table 2.
    """
    return tuple(
        Row(
            of,
            how,
            _MODELS[of],
            pooler,
            branch,
            against=f"{of}: mask pooling" if pooler == "adapter" else "",
            published=_published(_MODELS[of], pooler, branch),
        )
        for how, pooler in _POOLERS.items()
    )


def _published(model: str, pooler: str, branch: Branch) -> dict[str, Published]:
    """Figures by column: of table 1 for each data set, of table 2 for seen, unseen and all classes of A-150."""
    row = published_row(model, pooler, branch)
    if row is None:
        return {}
    if branch == "ensemble":
        return _figures(_TABLE_1, **{name: metrics["mIoU"] for name, metrics in row.percent.items()})
    return _figures(_TABLE_2, **{name.removeprefix("mIoU "): value for name, value in row.percent["A-150"].items()})


def _figures(source: str, **percent: float) -> dict[str, Published]:
    return {key: Published(value, source) for key, value in percent.items()}
