"""What `compute` and `embed` do, in stages, and the vectors they leave: found missing, computed, committed."""
