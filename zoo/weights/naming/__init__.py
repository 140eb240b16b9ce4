"""Names and layouts of weights in the files of other collections."""
