"""Where others call us: receipts of providers, ratings, replies to a short code."""
