"""Weights: published, packaged, from files of other collections; loading, saving, converting."""
