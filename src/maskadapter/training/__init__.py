"""The two stages of the paper, and the training of a generator: losses, recipes, the loop."""
