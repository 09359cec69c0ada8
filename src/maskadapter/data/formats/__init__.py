"""Readers of label files, one format each."""
