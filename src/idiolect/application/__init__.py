"""Use cases: fit, ask, correct, forget, export - plain async functions over one `Workspace`, values in and out.

Below every face of the product: the command line, Python callers (`idiolect`) and a server call the same functions.
Nothing here prints, parses arguments, handles signals or starts an event loop.
"""
