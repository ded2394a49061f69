"""Loopback addresses: one for a pod, one block for a cluster, and what is said where there are none."""

import random
import socket
from contextlib import closing

import pytest

from treadle.local.kubelet.addresses import FIRST, LAST, Addresses, trouble
from treadle.local.state import Unusable

# TEST-NET-3 of RFC 5737: no machine has it.
FOREIGN = "203.0.113"


def blocks(number: int) -> list[str]:
    """Return blocks that no other run of these tests has."""
    start = random.SystemRandom().randrange(200)
    return [f"127.20{random.SystemRandom().randrange(10)}.{start + each}" for each in range(number)]


def test_each_pod_has_its_own_and_the_longest_unused_comes_first() -> None:
    with closing(Addresses(blocks(1))) as held:
        held.open()
        first, second = held.take(), held.take()
        assert first is not None and second is not None and len({first, second, held.node}) == 3
        held.give_back(first)
        others = {held.take() for _ in range(LAST - FIRST - 1)}
        assert len(others) == LAST - FIRST - 1 and not others & {first, second, None}
        assert held.take() == first
        assert held.take() is None


def test_a_block_is_had_once() -> None:
    free = blocks(2)
    with closing(Addresses(free)) as one, closing(Addresses(free)) as other, closing(Addresses(free)) as third:
        one.open()
        other.open()
        assert {one.node, other.node} == {f"{block}.1" for block in free}
        with pytest.raises(Unusable, match="no block of loopback addresses is free: 2 of treadle up run"):
            third.open()
        one.close()
        third.open()
        assert third.node == one.node


def test_a_system_without_such_addresses_says_what_to_do() -> None:
    with pytest.raises(Unusable, match=r"gives no address 203\.0\.113\.1 .* sudo ifconfig lo0 alias 203\.0\.113\.\$i"):
        Addresses([FOREIGN])


def test_a_port_is_free_or_it_is_said_who_has_it() -> None:
    with socket.create_server(("", 0)) as everywhere:
        port = everywhere.getsockname()[1]
        assert f"listens on port {port} of every address; end it" in (trouble("127.84.0.2", port) or "")
    assert trouble("127.84.0.2", port) is None
    found = trouble(f"{FOREIGN}.1", port)
    assert found == f"port {port} of {FOREIGN}.1 cannot be had: Cannot assign requested address"
