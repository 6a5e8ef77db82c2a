"""Name resolution of the client programs: the vendor's two names lead to the simulated server, no other name leads anywhere.

The clients themselves are used as published. Only `socket.getaddrinfo` is replaced; trust in the server's certificate
comes from the environment (`REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE`), which both HTTP libraries honour.
"""

import os
import socket

HOSTS = {"login.microsoftonline.com", "graph.microsoft.com"}
_resolve = socket.getaddrinfo


def _simulated(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    address = os.environ["ESTATE_ADDRESS"]
    if name in HOSTS or name == address:
        return _resolve(address, *args, **kwargs)
    if name == os.environ.get("ESTATE_METADATA"):  # the fake metadata endpoint, by address
        return _resolve(name, *args, **kwargs)
    raise OSError(f"a client looked up {name!r}, which is not simulated")


def install():
    """Replaces name resolution in this process."""
    socket.getaddrinfo = _simulated
