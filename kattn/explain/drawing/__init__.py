"""Pictures: overlays, plots, contact sheets."""
