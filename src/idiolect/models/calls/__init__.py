"""The layer between a method and the models that it calls: it keeps paid answers, enforces limits and shares turns."""
