"""How facts come in: the intake (HTTP), files and the drop folder, and the publishers everything is written to the log with."""
