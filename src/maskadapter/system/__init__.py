"""Files, settings, progress, downloads: what every room uses and no model needs. Each file is a door of its own."""
