"""People: users with their profiles, questions and opinions; the users file; readers of data sets; bundled people."""
