"""Pages to hand on: an explorer as one HTML file that needs neither Python nor a network."""
