"""`python -m kattn.publish`: see `--help`."""
