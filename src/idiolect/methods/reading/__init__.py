"""Reading of a model's reply: which of a question's choices it names, if any.

    reply ─ wrappings → plain text ─ forms → tokens ─ final_answers, mentions, negation → reader → choice or None

`reader.read_choice` is the entry; `lamp` has the reading of LaMP's labels. The rules, with a table of cases, are in
docs/reading-answers.md. Precision comes before recall: a reply that does not clearly name one choice is unreadable.
"""
