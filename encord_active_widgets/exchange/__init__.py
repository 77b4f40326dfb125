"""Rows handed to other tools and to training: files, tasks, datasets, splits, and their verification."""
