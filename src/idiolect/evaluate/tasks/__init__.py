"""Tasks of an evaluation, by name (`table.TASKS`); each creates a `Benchmark` from files."""
