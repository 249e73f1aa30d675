"""The pipelines. Each reads as a table of contents; the work is in `clothret`."""
