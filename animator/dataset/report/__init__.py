"""The page that shows a run.

rows, faults, statistics -> data -> page -> one HTML file
"""
