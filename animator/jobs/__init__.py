"""Job records: their atomic changes, history, leases, queue and client."""
