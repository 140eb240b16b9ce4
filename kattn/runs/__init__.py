"""Folders of runs: what `kattn.train` writes and everything else reads."""
