"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.hub.assembling import assemble, identify
from maskadapter.hub.bare_clip import facts
from maskadapter.hub.checkpoints.metadata import trained_by
from maskadapter.hub.loading import check_device, find, identified, load
from maskadapter.hub.other_pooler import with_other_pooler
from maskadapter.hub.publishing import push_to_hub
from maskadapter.hub.same_clip import IMAGE_ENCODER, first_form, image_encoder_hash, refuse_another_clip
from maskadapter.hub.saving import convert, save
