"""The command line: `main` parses and reports errors, `commands` has one file a command."""
