"""The methods that an evaluation compares: each learns from one person, and answers for one."""
