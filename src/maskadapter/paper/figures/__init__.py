"""The paper's kinds of figures, for the user's own images, models and runs."""
