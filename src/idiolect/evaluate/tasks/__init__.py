"""Tasks: what an evaluation can be run on, by name (`table.TASKS`); each makes a `Benchmark` out of files."""
