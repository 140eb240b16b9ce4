"""Reports: a page about a run, and pictures of image files."""
