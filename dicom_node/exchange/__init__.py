"""What node and workers hand each other where they share no file system."""
