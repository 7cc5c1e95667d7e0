"""The doors to the file system: portraits and sound come in, finished films go out. Imports core only."""
