"""Objects shown from other sides."""
