"""Known data sets made ready: found, downloaded, unpacked, converted."""

from maskadapter.data.prepare.preparation import prepare
