"""Running the paper's tables: what each row needs, its evaluation, and the measured numbers beside the published."""

from maskadapter.paper.tables.report import UNKNOWN
from maskadapter.paper.tables.reproduction import reproduce
