"""CHAMELEON: self-generated pairs, two directions a layer, an edit of the MLP outputs (arXiv 2503.01048)."""
