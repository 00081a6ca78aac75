"""CHAMELEON: self-generated pairs, two directions per layer, and an edit of the MLP outputs (arXiv 2503.01048)."""
