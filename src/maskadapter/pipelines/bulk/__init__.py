"""Very many images: a plan of shards, workers on any number of machines that compute them, data sets of the results."""

from typing import TYPE_CHECKING

from maskadapter.pipelines.bulk.plan import Plan, plan_shards, read_plan
from maskadapter.pipelines.bulk.running import BulkReport, Engine, Estimate, run_shards, share
from maskadapter.pipelines.bulk.status import BulkStatus, shard_status
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.pipelines.bulk.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.pipelines.bulk.torch_door")
