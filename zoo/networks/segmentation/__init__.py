"""Segmentation networks on any backbone."""
