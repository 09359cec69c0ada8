"""Learning classes of one's own from few images: the classifiers alone, everything else is frozen."""
