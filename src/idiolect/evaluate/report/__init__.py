"""The report: one self-contained HTML file, made from a `Summary`.

Summary → sections (tables, plots, answers) → report.render → HTML
"""
