"""Pages that are read, not worked with, and the small pictures on them."""
