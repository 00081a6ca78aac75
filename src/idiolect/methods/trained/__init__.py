"""Methods that train a LoRA for one person: the rivals of CHAMELEON, for comparisons."""
