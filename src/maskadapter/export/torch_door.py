"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.export.exporting import ExportedFile, export
