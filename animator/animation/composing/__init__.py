"""Generated parts put into what is shown of a picture."""
