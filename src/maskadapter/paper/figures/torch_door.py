"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.paper.figures.activation_figure import activations
from maskadapter.paper.figures.gallery_figure import gallery
from maskadapter.paper.figures.tsne_figure import tsne
