"""Columns that several tables of the paper share."""

from maskadapter.paper.tables.table import Column
from maskadapter.pipelines import GROUND_TRUTH

A150 = "ade20k-150"

MIOU = (Column("mIoU", A150, "mIoU"),)

SEEN_AND_UNSEEN = (Column("seen", A150, "mIoU seen"), Column("unseen", A150, "mIoU unseen"), *MIOU)

ON_GROUND_TRUTH_MASKS = (
    Column("accuracy", A150, "accuracy of class masks", masks=GROUND_TRUTH),
    Column("ground-truth masks", A150, "mIoU", masks=GROUND_TRUTH),
)

PARTITION_NOTE = (
    "Seen and unseen: the paper divides A-150 by hand into 74 and 76 classes and does not publish the lists. Here a "
    "class is seen where it shares a synonym with COCO panoptic (64 of A-150's), unless --partition says otherwise: "
    "the paper's figures for seen and for unseen classes cannot be compared with these."
)
