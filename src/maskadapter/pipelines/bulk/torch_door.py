"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.pipelines.bulk.exporting import ExportFormat, ExportReport, export_shards
from maskadapter.pipelines.bulk.shard_worker import ShardWorker
