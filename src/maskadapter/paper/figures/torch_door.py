"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.paper.figures.gallery_figure import figure9, figure10, gallery
from maskadapter.paper.figures.map_figures import figure4, figure6
from maskadapter.paper.figures.tsne_figure import figure5
from maskadapter.paper.figures.vocabulary_figure import figure11
