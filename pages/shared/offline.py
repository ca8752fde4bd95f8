"""Offline: what Streamlit would ask the outside world for, answered here.

Streamlit asks a public service for the server's outside address, at the start on all interfaces
and again for every request of a foreign origin. Nothing may leave the machine, so there is no such
address; who is reached under another name sets `browser.serverAddress`.
"""

from __future__ import annotations

import contextlib
import socket

from streamlit import net_util

# Of the network that is reserved for documentation (RFC 5737). Connecting a datagram socket sends
# nothing: it only makes the system choose the interface, whose address is wanted.
NOWHERE = ("192.0.2.1", 9)


def keep() -> None:
    """Take the lookups of the outside address out; to be called before a server starts."""
    net_util.get_external_ip = _no_address
    net_util.get_internal_ip = own_address


def _no_address() -> None:
    return None


def own_address() -> str:
    """The address of this machine in its own network; of the loopback where it is in none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(NOWHERE)
        return str(probe.getsockname()[0])
    return "127.0.0.1"
