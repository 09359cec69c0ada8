"""Running the paper's tables: what each row needs, its evaluation, and the measured numbers beside the published."""

from maskadapter.paper.tables.markdown import page_text, report_text
from maskadapter.paper.tables.reproduction import ALL, reproduce
