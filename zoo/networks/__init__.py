"""Whole networks around one block: segmentation, super-resolution, generation, spatial transformers."""
