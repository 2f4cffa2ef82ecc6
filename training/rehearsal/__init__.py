"""The whole way on phantoms that anybody can check: preprocess, train, test, export, read."""
