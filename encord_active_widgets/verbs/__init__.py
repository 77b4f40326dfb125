"""The public verbs of projects and views, by kind: thin, each a call to a room with one job."""
