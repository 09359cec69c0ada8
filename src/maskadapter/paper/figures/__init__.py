"""The paper's kinds of figures, for the user's own images, models and runs."""

from maskadapter.paper.figures.activation_figure import activations
from maskadapter.paper.figures.gallery_figure import gallery
from maskadapter.paper.figures.tsne_figure import tsne
from maskadapter.paper.figures.unseen_figure import unseen_curve
from maskadapter.paper.figures.upper_bound_figure import METRICS, upper_bound
