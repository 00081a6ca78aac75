"""Command line: reads arguments, calls the layers above, prints. No logic of its own."""
