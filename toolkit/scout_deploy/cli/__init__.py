"""The command line: one file for each command; a command is parse, one call, print."""
