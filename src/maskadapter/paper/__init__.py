"""All that belongs to the paper and not to the method: published figures, tables, figures."""

from maskadapter.paper.published import DATASETS, published_miou, reference_figures
from maskadapter.paper.table import TABLES, table_named
