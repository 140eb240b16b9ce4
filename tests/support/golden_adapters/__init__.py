"""One adapter a block: build it from a reference file's config, give it the weights, run it."""

from support.golden_adapters import classification, first_six, gates, generation, restoration, segmentation, spatial

ADAPTERS = {
    **first_six.ADAPTERS,
    **classification.ADAPTERS,
    **gates.ADAPTERS,
    **generation.ADAPTERS,
    **restoration.ADAPTERS,
    **segmentation.ADAPTERS,
    **spatial.ADAPTERS,
}
