"""The showpiece: the main job on bundled people and the embedded model."""
