"""MR series simulated from physics: a header that is true by construction, and the pixels that follow from it."""
