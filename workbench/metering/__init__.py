"""What work used: meter, site, run records and the ledger."""
