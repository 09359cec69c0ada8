"""The paper's tables: what each row is made with, what was published, and running them."""

from maskadapter.paper.tables.definitions import TABLES
from maskadapter.paper.tables.report import UNKNOWN
from maskadapter.paper.tables.reproduction import reproduce
