"""The paper's kinds of figures for one's own pictures, models and runs."""
