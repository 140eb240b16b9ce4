"""Files of weights: reading and writing each format."""
