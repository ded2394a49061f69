"""An address of its own for every pod, in 127.0.0.0/8, so that ports stay what they are in a cluster."""

import errno
import socket
from collections.abc import Sequence

from treadle.local.state import Unusable

BLOCKS = tuple(f"127.{84 + high}.{low}" for high in range(16) for low in range(256))
"""Each `treadle up` of this machine has one of them."""
CLAIM_PORT = 8479
FIRST, LAST = 2, 254


class Addresses:
    """The addresses of one block: the first is the node's, by which the block is held until `close`."""

    def __init__(self, blocks: Sequence[str] = BLOCKS) -> None:
        """Raise Unusable where the system gives no such addresses."""
        self._blocks = blocks
        self._claim: socket.socket | None = None
        self._block = ""
        self._taken: set[str] = set()
        self._next = FIRST
        _check(blocks[0])

    @property
    def node(self) -> str:
        """Return the address of the node."""
        return f"{self._block}.1"

    def open(self) -> None:
        """Claim a block; raise Unusable where all are in use."""
        for block in self._blocks:
            claim = socket.socket()
            try:
                claim.bind((f"{block}.1", CLAIM_PORT))
            except OSError as error:
                claim.close()
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                self._claim, self._block = claim, block
                return
        raise Unusable(
            f"no block of loopback addresses is free: {len(self._blocks)} of treadle up run on this machine; end one"
        )

    def take(self) -> str | None:
        """Return an address that no pod has, the longest unused first; None where all are in use."""
        for _ in range(FIRST, LAST + 1):
            address = f"{self._block}.{self._next}"
            self._next = FIRST if self._next == LAST else self._next + 1
            if address not in self._taken:
                self._taken.add(address)
                return address
        return None

    def give_back(self, address: str) -> None:
        """Let an address be taken again."""
        self._taken.discard(address)

    def close(self) -> None:
        """Give up the block."""
        if self._claim is not None:
            self._claim.close()


def trouble(address: str, port: int) -> str | None:
    """Return why a pod could not listen there; None where it can."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
            trial.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return (
                    f"port {port} of {address} is taken: a program on this machine listens on port {port} of every "
                    f"address; end it, or let it listen on 127.0.0.1 alone (to find it: ss -ltnp 'sport = :{port}')"
                )
            return f"port {port} of {address} cannot be had: {error.strerror}"
    return None


def _check(block: str) -> None:
    with socket.socket() as trial:
        try:
            trial.bind((f"{block}.1", 0))
        except OSError as error:
            raise Unusable(
                f"this system gives no address {block}.1 ({error.strerror}): treadle up gives each pod a loopback "
                f"address, so that its ports are those of a cluster. On macOS, add them first: "
                f"for i in $(seq 1 32); do sudo ifconfig lo0 alias {block}.$i; done"
            ) from error
