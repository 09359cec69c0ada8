"""Images with their ground truth: data sets, their preparation, training transforms and sampling, synthetic scenes."""
