"""The networks, put together from blocks."""
