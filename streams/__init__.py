"""What happens after a fact: the roles decide, send, count, judge, archive and timer. The only room that imports faust.

The framework acknowledges failed events, loses messages with concurrency above 1 and only logs a failed publish; so every role
stands on the same shape: raw topics, one agent with concurrency 1, batches that are acknowledged last, by ``guard``.
"""
