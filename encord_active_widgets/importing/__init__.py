"""What is read becomes rows: new files, labels, answers that come back, images that were moved."""
