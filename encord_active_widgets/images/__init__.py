"""From an address to pixels: reading bytes, safe decoding, thumbnails."""
