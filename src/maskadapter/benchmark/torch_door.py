"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.benchmark.clock import Clock
from maskadapter.benchmark.report import benchmark_tables
from maskadapter.benchmark.run import benchmark
