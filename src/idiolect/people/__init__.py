"""People: users, their profiles, questions and opinions; the users file; the bundled people."""
