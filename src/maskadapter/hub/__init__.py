"""Load, join, convert and save models."""

from maskadapter.hub.assembling import assemble, identify
from maskadapter.hub.bare_clip import PREFIX, facts, is_bare
from maskadapter.hub.loading import check_device, find, identified, load, refuse_another_clip
from maskadapter.hub.model_source import DEFAULT, ModelSource
from maskadapter.hub.saving import convert, save
