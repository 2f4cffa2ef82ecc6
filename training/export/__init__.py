"""A trained model as a bundle: graphs, variants, label grid, model card."""
