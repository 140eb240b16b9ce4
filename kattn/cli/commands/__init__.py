"""The commands, one file each, found by their file's name. A command's module has:

HELP       one line for `kattn --help`
EXAMPLE    a command that works, for its own help
add        puts its options on a parser; imports no Keras
run        does it; what it returns is the exit status, None for 0
KERAS      False where `run` needs no Keras (True where it is left out)
"""
