"""Export as a SavedModel."""
