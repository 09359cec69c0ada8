"""What can go wrong through no fault of the program: one line that says what came, what is needed, what to do."""


class MaskAdapterError(Exception):
    """A mistake in what was given (file, picture, words, weights). The command line prints its one line and exits
    with 2."""


class ImageError(MaskAdapterError):
    """A picture that cannot be read or is not a picture."""


class MaskError(MaskAdapterError):
    """Masks of the wrong shape, type or size."""


class VocabularyError(MaskAdapterError):
    """No classes, empty names, or an unknown list."""


class CheckpointError(MaskAdapterError):
    """Weights that are missing, damaged, unsafe, or belong to another model."""


class DatasetError(MaskAdapterError):
    """A data set that is not there, not whole, or labelled with what it does not list."""


class RecipeError(MaskAdapterError):
    """A recipe for training that says something unknown or impossible."""
