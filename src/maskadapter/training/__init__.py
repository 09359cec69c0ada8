"""Training of an adapter or a mask generator by a recipe."""
