"""The doors: how hailong is wired, started, kept and proven."""
