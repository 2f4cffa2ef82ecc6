"""Headers: how vendors write a scan, classic and Enhanced images, and how headers go wrong."""
