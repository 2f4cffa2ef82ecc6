"""Image and metadata towers behind one interface."""
