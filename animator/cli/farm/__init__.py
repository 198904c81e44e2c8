"""Commands on the jobs and workers of a queue."""
