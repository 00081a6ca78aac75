"""Users from tables: CSV files and survey exports with one row per person or one row per answer, and JSON lists.

bytes → text → table → columns and their roles → answers → questions with their choices → users and a report
"""
