"""Export as TFLite."""
