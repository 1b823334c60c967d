"""Who runs a command, as the audit trail names them."""

from __future__ import annotations

import os
import pwd


def at_the_keyboard() -> str:
    """``cli:USER``, the user of the operating system."""
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # in a container whose user has no name
        return f"cli:{os.getuid()}"
