"""Export of personalizations to other engines: an edit as a LoRA, in the folder or file that they load."""
