"""From a person and a view to images: planning, sampling, encoding, reconstruction."""
