"""The page: what it shows, its words and its look."""
