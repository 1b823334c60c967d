"""The phone and mail network of a machine without one: Twilio's Messages API and an SMTP server on loopback, with a journal.

Started with ``python -m ops.carrier --data DIR --http-port N --smtp-port M``. Nothing it takes ever leaves the machine. Its journal
(``records`` tells the lines) is evidence that no other part of hailong writes; ``evidence.read`` reads it back. Numbers and addresses with
a fixed outcome are listed in ``outcomes``, faults that can be ordered while it runs in ``faults``.
"""
