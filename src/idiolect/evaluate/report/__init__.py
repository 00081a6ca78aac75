"""The report: one HTML file that needs nothing else, made of a `Summary`.

Summary → sections (tables, plots, answers) → report.render → HTML
"""
