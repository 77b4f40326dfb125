"""Runs of models: added, evaluated, explained, compared, and what they say against the labels."""
