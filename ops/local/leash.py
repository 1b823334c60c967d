"""Runs a command so that it cannot outlive the supervisor: ``leash.py SUPERVISOR_PID PIPE COMMAND…``.

Stands between the supervisor's fork and the command's exec, as a program of its own (isolated, standard library only, 11 ms): code run
in a forked copy of a threaded process can wait for ever for a lock that another thread held. The command keeps this process's id.

- Linux: the kernel sends SIGKILL when the supervisor dies (PR_SET_PDEATHSIG). The supervisor may have died just before, so its
  id is checked afterwards. The signal hangs on the *thread* that started the child, so a stack must be started from a thread that lives
  as long as it does: the main one.
- Elsewhere: a forked watcher holds the reading end of a pipe whose writing end only the supervisor has. End of file means that
  the supervisor is gone, whatever it died of; then the watcher kills the command.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1


def leash_by_kernel(supervisor: int) -> None:
    """Linux: die with the parent."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != supervisor:
        sys.exit(1)


def leash_by_pipe(pipe: int) -> None:
    """Elsewhere: fork a watcher that outlives neither the command nor the supervisor by more than a second."""
    command = os.getpid()
    if os.fork() != 0:
        os.close(pipe)
        return
    os.setsid()
    while os.getppid() == command:
        readable, _, _ = select.select([pipe], [], [], 1.0)
        if readable and os.read(pipe, 1) == b"":
            os.kill(command, signal.SIGKILL)
            break
    os._exit(0)


def main() -> None:
    supervisor, pipe, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if pipe < 0:
        leash_by_kernel(supervisor)
    else:
        leash_by_pipe(pipe)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the point of this program
    except OSError as fault:
        sys.stderr.write(f"{command[0]} cannot be run: {fault.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
