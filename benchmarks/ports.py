"""Ports of this machine for servers and workers that a benchmark starts."""

import socket


def free_ports(count: int) -> list[int]:
    """Returns so many ports that nobody listens at."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
