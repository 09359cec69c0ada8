"""Proposal heads: masks from CLIP's own features."""
