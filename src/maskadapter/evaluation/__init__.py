"""How good is it: mIoU, PQ, AP, and the accuracy of naming given masks. Takes any callable; knows no model."""
