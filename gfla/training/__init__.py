"""The trainer: ``launch`` resolves a request, ``loop`` runs it, ``tasks`` know the losses."""
