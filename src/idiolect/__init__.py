"""Idiolect personalizes any LLM to one user from a handful of their past answers."""

from __future__ import annotations

from idiolect.people.user import Opinion, Question, QuestionKind, User, UserProfile

__version__ = "0.1.0"
__all__ = ["Opinion", "Question", "QuestionKind", "User", "UserProfile", "__version__"]
