"""The protocols of labeling tools that ask a server, each as routes of FastAPI (extra ``serve``)."""

from maskadapter.integrations.labeling_servers.label_studio import label_studio_routes
from maskadapter.integrations.labeling_servers.roboflow import roboflow_routes
from maskadapter.integrations.labeling_servers.sent_image import Segment
from maskadapter.integrations.labeling_servers.x_anylabeling import x_anylabeling_routes
