"""Networks whose block is the network: segmentation, super-resolution, generation, spatial transformers."""
