"""Evaluate any predictor on a data set: mIoU, PQ, AP and the accuracy of classifying ground-truth masks."""
