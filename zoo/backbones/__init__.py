"""The backbones: one a file, a table of all."""
