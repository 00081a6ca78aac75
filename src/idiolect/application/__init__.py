"""Use cases: fit, ask, correct, forget, export - plain async functions over one `Workspace`, values in and out.

Every interface of the product is built on this layer: the command line, Python callers (`idiolect`) and a server call
the same functions. They do not print, parse arguments, handle signals or start an event loop; only `portal` starts one.
"""
