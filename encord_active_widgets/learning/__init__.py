"""What to label next and what is labelled wrong: scores over arrays, without a project."""
