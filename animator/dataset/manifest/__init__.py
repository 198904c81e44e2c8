"""Inputs of a data set: a manifest, or two lists of files, as samples and faults.

reader (text, parquet) -> cells -> samples, faults
pairs ----------------------^
"""
