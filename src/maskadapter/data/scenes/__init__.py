"""Procedural scenes, a data set without end."""
