"""TFDS data sets, read with numpy and Pillow: the same images in the same order whether or not TensorFlow is there."""
