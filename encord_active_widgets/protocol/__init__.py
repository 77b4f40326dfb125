"""What the browser and Python say to each other; testable without a notebook."""

PROTOCOL_VERSION = 1
