"""Attention for convolutional networks: layers, a model zoo, training, export and pictures. Imports are lazy."""

__version__ = "0.1.0"
