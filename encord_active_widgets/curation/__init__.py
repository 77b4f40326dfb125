"""Work on the data itself: what to label next, reviews and their answers, duplicates, annotators."""
