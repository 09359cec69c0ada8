"""Time, memory and agreement of the exact and the pruned computation, measured against the paper's formula."""

from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.report import benchmark_tables
from maskadapter.benchmark.run import benchmark
