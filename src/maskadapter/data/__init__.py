"""Images with their truth: data sets, transforms, sampling, scenes without end."""
