"""Between a method and the models that it calls: what was paid for is kept, limits hold, users take turns."""
