"""Workers meet before TensorFlow joins them.

TensorFlow waits for a missing worker for ever and hears no signal meanwhile. Here the wait is
plain Python, ends after a stated time in a sentence that names who is missing, and finds workers
that would not fit together. The chief listens at its own address; when all have come, it closes
that door, and TensorFlow opens its own in the same place. The connections stay (group.py).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from translator.config import differences
from translator.errors import ConfigError, RunError, UserError
from translator.training.distributed.cluster import Cluster, split_address
from translator.training.distributed.worker_group import (
    Connection,
    Left,
    Message,
    WorkerGroup,
    worker_name,
)

RENDEZVOUS_SECONDS = 300.0
"""How long one waits for the others."""

ANSWER_SECONDS = 5.0
"""How long a process that has connected may take to say who it is."""

MAX_CONNECTIONS = 64
"""Connections that have not said yet who they are; the oldest goes when another comes."""

Facts = dict[str, Any]


def rendezvous(cluster: Cluster, facts: Facts) -> WorkerGroup:
    """Wait until all workers are there, with the same facts by name.

    Raises RunError if one does not come in RENDEZVOUS_SECONDS or an address cannot be used,
    ConfigError if facts differ; on all workers that have come.
    """
    with _door(cluster.addresses[cluster.index]) as door:
        if cluster.index == 0:
            connections = _receive(door, cluster.addresses, facts)
            return WorkerGroup(cluster.addresses, 0, connections)
    return WorkerGroup(cluster.addresses, cluster.index, {0: _visit(cluster, facts)})


@contextmanager
def _door(address: str) -> Iterator[socket.socket]:
    """Listen at our own address, on every interface, as TensorFlow will."""
    _, port = split_address(address)
    dual = socket.has_dualstack_ipv6()
    try:
        door = socket.create_server(
            ("", port),
            family=socket.AF_INET6 if dual else socket.AF_INET,
            dualstack_ipv6=dual,
        )
    except OSError as error:
        raise RunError(
            f"{address}, the address of this worker, cannot be used: {error.strerror}. End what "
            "uses this port, or give the cluster another one."
        ) from None
    with door:
        yield door


def _receive(
    door: socket.socket, addresses: tuple[str, ...], facts: Facts
) -> dict[int, Connection]:
    """As the chief: the connections of all others, by their index.

    Anyone may connect. So guests are heard side by side: one who is silent, or says too much, keeps
    nobody waiting, and is sent away after ANSWER_SECONDS.
    """
    present: dict[int, Connection] = {}
    guests: dict[Connection, float] = {}
    deadline = time.monotonic() + RENDEZVOUS_SECONDS
    try:
        while missing := [i for i in range(1, len(addresses)) if i not in present]:
            if time.monotonic() >= deadline:
                raise RunError(_missing(missing, addresses))
            door.settimeout(0.1)
            with suppress(TimeoutError):
                guests[Connection(door.accept()[0])] = time.monotonic() + ANSWER_SECONDS
            if len(guests) > MAX_CONNECTIONS:
                _send_away(guests, next(iter(guests)))
            for guest, until in list(guests.items()):
                hello = _hello(guest)
                if hello is not None:
                    del guests[guest]
                    _welcome(guest, hello, present, addresses, facts)
                elif time.monotonic() >= until:
                    _send_away(guests, guest)
            _forget_the_gone(present)
    except BaseException as error:
        with WorkerGroup(addresses, 0, present):  # Its end tells those who have come.
            raise error
    finally:
        for guest in list(guests):
            _send_away(guests, guest)
    WorkerGroup(addresses, 0, present).tell(complete=True)
    return present


def _send_away(guests: dict[Connection, float], guest: Connection) -> None:
    del guests[guest]
    guest.socket.close()


def _hello(guest: Connection) -> Message | None:
    """What a guest says first; nothing of one who is gone, None of one who has not said it yet."""
    try:
        return guest.receive(0.0)
    except Left:
        return {}


def _welcome(
    guest: Connection,
    hello: Message,
    present: dict[int, Connection],
    addresses: tuple[str, ...],
    facts: Facts,
) -> None:
    """Let a worker in. Raises ConfigError if it does not fit; a stranger is sent away."""
    index, theirs = hello.get("worker"), hello.get("facts")
    if type(index) is not int or not isinstance(theirs, dict):
        guest.socket.close()
    elif index in present or not 0 < index < len(addresses):
        guest.send({"failed": f"there is a worker {index} already; give each its own index."})
        guest.socket.close()
    else:
        present[index] = guest
        guest.send({"waiting": True})
        for key, there, here in differences(theirs, facts):
            raise ConfigError(
                f"{worker_name(index, addresses)} does not fit the chief: {key} is {there!r} there "
                f"and {here!r} here."
            )


def _forget_the_gone(present: dict[int, Connection]) -> None:
    for index, connection in list(present.items()):
        try:
            connection.receive(0.0)
        except Left:
            connection.socket.close()
            del present[index]


def _visit(cluster: Cluster, facts: Facts) -> Connection:
    """As a worker: the connection to the chief, when all have come."""
    chief = cluster.addresses[0]
    deadline = time.monotonic() + RENDEZVOUS_SECONDS
    reason = "it did not answer"
    while time.monotonic() < deadline:
        try:
            connection = Connection(_connect(chief))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            time.sleep(0.3)
            continue
        answer: Message | None = None
        connection.send({"worker": cluster.index, "facts": facts})
        with suppress(Left):
            answer = connection.receive(ANSWER_SECONDS)
        if answer is not None and answer.keys() & {"waiting", "failed"}:
            try:
                _await_others(connection, answer, cluster)
            except BaseException:
                connection.socket.close()
                raise
            return connection
        connection.socket.close()  # Someone else, such as the chief of a run that is ending.
        time.sleep(0.3)
    raise RunError(
        f"{worker_name(0, cluster.addresses)} could not be reached in {said_limit()} ({reason}). "
        "Start the same command there, and see that its port is open to this machine."
    )


def _connect(address: str) -> socket.socket:
    found = socket.create_connection(split_address(address), timeout=ANSWER_SECONDS)
    if found.getsockname() == found.getpeername():  # TCP lets a port connect to itself.
        found.close()
        raise ConnectionRefusedError("connection refused")
    found.settimeout(None)
    return found


def _await_others(connection: Connection, answer: Message, cluster: Cluster) -> None:
    if "failed" in answer:
        raise UserError(f"{worker_name(0, cluster.addresses)} sent us away: {answer['failed']}")
    WorkerGroup(cluster.addresses, cluster.index, {0: connection}).hear()


def _missing(missing: list[int], addresses: tuple[str, ...]) -> str:
    names = " and ".join(worker_name(index, addresses) for index in missing)
    return (
        f"{names} did not come in {said_limit()}. Start the same command there with its own index, "
        f"and see that port {split_address(addresses[0])[1]} of this machine is open to it."
    )


def said_limit() -> str:
    """RENDEZVOUS_SECONDS, as a sentence says it."""
    minutes, rest = divmod(RENDEZVOUS_SECONDS, 60)
    return f"{RENDEZVOUS_SECONDS:g} seconds" if rest else f"{minutes:g} minutes"
