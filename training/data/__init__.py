"""From volumes to rows of slices, their labels and splits, and the batches made of them."""
