"""The metrics: counts of one image, and what the counts of many images add up to."""
