"""Training of an adapter: the two stages, their losses, masks and the IoU matcher."""
