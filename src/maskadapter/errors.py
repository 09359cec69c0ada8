"""Errors that come from the input: one line with what was given, what is needed, and what to do."""


class MaskAdapterError(Exception):
    """A mistake in the input (file, image, classes, weights). The command line prints its one line and exits with 2."""


class ImageError(MaskAdapterError):
    """An image that cannot be read or is not an image."""


class MaskError(MaskAdapterError):
    """Masks of the wrong shape, type or size."""


class VocabularyError(MaskAdapterError):
    """No classes, empty names, or an unknown list."""


class CheckpointError(MaskAdapterError):
    """Weights that are missing, damaged, unsafe, or belong to another model."""


class DownloadError(MaskAdapterError):
    """A download that failed: no network, no such file, refused, or not the file that was expected."""


class DatasetError(MaskAdapterError):
    """A data set that is missing, incomplete, or labeled with classes that it does not list."""


class RecipeError(MaskAdapterError):
    """A training recipe with unknown, missing or impossible settings."""
