"""Hands what was learned to other engines: an edit as a LoRA, in the folder or the file that they load."""
