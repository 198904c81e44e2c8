"""What a data set is to be made of: a manifest, or two lists of files, as samples and faults.

reader (text, parquet) -> cells -> samples, faults
pairs ----------------------^
"""
