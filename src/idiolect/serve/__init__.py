"""The gateway: an OpenAI-compatible server over one workspace, in which each user gets their own model.

    request → keys, identity (who asks) → personalizations (what applies to them) → upstream | local_answers → response

`settings` is what it can be told, `gateway` the composition root, `app` the routes and the boundary of errors, and
`running` the process. Feedback, jobs and people are routes of their own beside `routes`.
"""
