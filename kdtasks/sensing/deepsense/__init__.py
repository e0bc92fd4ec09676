"""Folders of DeepSense 6G: their tables, files and published splits, read and written."""
