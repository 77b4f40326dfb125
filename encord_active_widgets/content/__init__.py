"""What a project holds right now, as immutable frames, and how rows are asked for."""
