"""The GFLA networks: tensors in, tensors out; this package knows no user and no queue."""
