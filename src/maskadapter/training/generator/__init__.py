"""Training of a mask generator (Mask2Former): its losses and the Hungarian matcher."""
