"""`mrclip-train benchmark`: what a bundle is worth on series whose truth is known by other means than their headers."""
