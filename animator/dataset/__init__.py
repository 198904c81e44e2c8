"""Data sets: a manifest in, shards out.

manifest, pairs -> plan -> jobs through the queue -> parts -> shards -> index, report
"""
