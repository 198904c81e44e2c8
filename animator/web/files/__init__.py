"""What callers send and fetch: uploads, results, forms, looks at both."""
