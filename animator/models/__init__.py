"""Networks of other projects, fetched on request: which there are, and how they are run."""
