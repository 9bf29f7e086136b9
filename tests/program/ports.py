"""Ports of this machine that are free for whom they are meant, whatever runs beside."""

import socket


def reserved_port(test):
    """Where nobody listens unless he is told the number, until the test ends.

    It is bound to a socket that never listens: whoever asks for any free port gets another one, and a server with
    SO_REUSEADDR that is told this one may come and go.
    """
    holder = socket.socket()
    test.addCleanup(holder.close)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1]
