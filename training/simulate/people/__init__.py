"""Who is scanned: heads from label maps, bodies drawn from noise, lesions in both."""
