"""What a project was and how it changed: snapshots, differences, clones, merges, drift."""
