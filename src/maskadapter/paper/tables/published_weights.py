"""Tables 1, 2, 3, 8 and 11: rows that need published weights and no training."""

from collections.abc import Mapping

from maskadapter.hub.model_zoo import WITHOUT_ENSEMBLE, weights_of
from maskadapter.paper.tables.columns import (
    A150,
    DATASETS,
    MIOU,
    ON_GROUND_TRUTH_MASKS,
    PARTITION_NOTE,
    SEEN_AND_UNSEEN,
)
from maskadapter.paper.tables.table import GROUND_TRUTH, Column, Published, Row, Table
from maskadapter.pipelines.model_evaluation import Branch

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
    columns = tuple(Column(key, dataset, "mIoU") for key, dataset in DATASETS.items())
    rows: list[Row] = []
    for of, model in _MODELS.items():
        published = {name: _figures(_TABLE_1, **weights_of(model, name).miou) for name in _POOLERS.values()}
        rows += rows_by_pooler(of, published, "ensemble")
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
            published=without_ensemble(*figures),
        )
        for (how, pooler), figures in zip(_POOLERS.items(), ((34.8, 17.5, 26.0), (45.3, 21.8, 33.4)), strict=True)
    ]
    for of, model in _MODELS.items():
        published = {
            pooler: without_ensemble(*WITHOUT_ENSEMBLE[model, pooler])
            for pooler in _POOLERS.values()
            if (model, pooler) in WITHOUT_ENSEMBLE
        }
        rows += rows_by_pooler(of, published, "out")
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
    alone = WITHOUT_ENSEMBLE["fcclip-large", "adapter"][2]
    first = "FC-CLIP: in-vocabulary classifier alone"
    rows = (
        Row("FC-CLIP", "in-vocabulary classifier alone", "fcclip-large", branch="in"),
        Row(
            "FC-CLIP",
            "Mask-Adapter alone",
            "fcclip-large",
            branch="out",
            against=first,
            published=_figures(f"the same row in {_TABLE_2}", mIoU=alone),
        ),
        Row(
            "FC-CLIP",
            "ensemble",
            "fcclip-large",
            against=first,
            published=_figures(f"the same row in {_TABLE_1}", mIoU=weights_of("fcclip-large").miou["A-150"]),
        ),
    )
    return Table("table11", "Each classifier alone, and both", MIOU, rows)


def rows_by_pooler(of: str, published: Mapping[str, Mapping[str, Published]], branch: Branch) -> tuple[Row, ...]:
    """Return the rows of a published model: with its own mask pooling, and with Mask-Adapter.

    of: the paper's name of the model. published: figures by pooler and column.
    """
    return tuple(
        Row(
            of,
            how,
            _MODELS[of],
            pooler,
            branch,
            against=f"{of}: mask pooling" if pooler == "adapter" else "",
            published=published.get(pooler, {}),
        )
        for how, pooler in _POOLERS.items()
    )


def without_ensemble(seen: float, unseen: float, both: float) -> dict[str, Published]:
    """Return the figures of a row of table 2 by column."""
    return _figures(_TABLE_2, seen=seen, unseen=unseen, mIoU=both)


def _figures(source: str, **percent: float) -> dict[str, Published]:
    return {key: Published(value, source) for key, value in percent.items()}
