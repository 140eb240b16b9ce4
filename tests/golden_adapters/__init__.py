"""One adapter a block: build it from a reference file's config, give it the weights, run it."""

from golden_adapters import first_six, generation, restoration

ADAPTERS = {**first_six.ADAPTERS, **generation.ADAPTERS, **restoration.ADAPTERS}
