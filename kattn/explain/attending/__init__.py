"""Attention that layers of a model offer: found, read, edited."""
