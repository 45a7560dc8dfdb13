"""Workers find each other before TensorFlow joins them.

TensorFlow waits for a missing worker without end and handles no signal meanwhile. This wait ends
after RENDEZVOUS_SECONDS in a sentence that names the missing workers, and it refuses workers whose
configurations differ. The chief listens at its own address until all have registered. Then
TensorFlow takes that port, and the connections remain (worker_group.py).
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
    Message,
    WorkerGroup,
    worker_name,
)

RENDEZVOUS_SECONDS = 300.0
"""How long a worker waits for the others."""

ANSWER_SECONDS = 5.0
"""How long a process that has connected may take to register."""

MAX_CONNECTIONS = 64
"""Connections that have not registered; when there are more, the oldest is closed."""

Facts = dict[str, Any]


def rendezvous(cluster: Cluster, facts: Facts) -> WorkerGroup:
    """Wait until all workers are there with the same facts.

    Every worker that has come raises the same: RunError if one does not come in
    RENDEZVOUS_SECONDS or an address cannot be used, ConfigError if facts differ.
    """
    with _listening(cluster.addresses[cluster.index]) as listener:
        if cluster.index == 0:
            connections = _await_workers(listener, cluster.addresses, facts)
        else:
            connections = {0: _join_chief(cluster, facts)}
    return WorkerGroup(cluster.addresses, cluster.index, connections)


@contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    """Listen at the port of our own address on every interface, as TensorFlow will."""
    dual = socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            ("", split_address(address)[1]),
            family=socket.AF_INET6 if dual else socket.AF_INET,
            dualstack_ipv6=dual,
        )
    except OSError as error:
        raise RunError(
            f"{address}, the address of this worker, cannot be used: {error.strerror}. End what "
            "uses this port, or give the cluster another one."
        ) from None
    with listener:
        listener.settimeout(0.1)
        yield listener


def _await_workers(
    listener: socket.socket, addresses: tuple[str, ...], facts: Facts
) -> dict[int, Connection]:
    """As the chief: return the connections of all others, by index.

    Anyone may connect. All connections are read side by side, so that none delays another, and
    one that does not register within ANSWER_SECONDS is closed.
    """
    registered: dict[int, Connection] = {}
    unknown: dict[Connection, float] = {}
    deadline = time.monotonic() + RENDEZVOUS_SECONDS
    try:
        while missing := [i for i in range(1, len(addresses)) if i not in registered]:
            if time.monotonic() >= deadline:
                raise RunError(_missing(missing, addresses))
            with suppress(TimeoutError):
                connection = Connection(listener.accept()[0])
                unknown[connection] = time.monotonic() + ANSWER_SECONDS
            if len(unknown) > MAX_CONNECTIONS:
                unknown[next(iter(unknown))] = 0.0
            for connection, until in list(unknown.items()):
                message = _read(connection, 0.0)
                if message is not None or time.monotonic() >= until:
                    del unknown[connection]
                    _register(connection, message or {}, registered, addresses, facts)
            for index, connection in list(registered.items()):
                connection.send({})
                if _read(connection, 0.0) is not None:
                    registered.pop(index).socket.close()
    except BaseException as error:
        with WorkerGroup(addresses, 0, registered):  # Its end informs those who have come.
            raise error
    finally:
        for connection in unknown:
            connection.socket.close()
    WorkerGroup(addresses, 0, registered).broadcast(True)
    return registered


def _read(connection: Connection, seconds: float) -> Message | None:
    """Return the next message, {} if the other end is gone, or None if nothing comes in time."""
    try:
        return connection.receive(seconds)
    except OSError:
        return {}


def _register(
    connection: Connection,
    message: Message,
    registered: dict[int, Connection],
    addresses: tuple[str, ...],
    facts: Facts,
) -> None:
    """As the chief: register a worker, or close a stranger. Raises ConfigError if facts differ."""
    index, theirs = message.get("worker"), message.get("facts")
    if type(index) is not int or not isinstance(theirs, dict):
        connection.socket.close()
    elif index in registered or not 0 < index < len(addresses):
        connection.send({"refused": f"worker {index} is here already; give each its own index."})
        connection.socket.close()
    else:
        registered[index] = connection
        connection.send({"accepted": True})
        for key, there, here in differences(theirs, facts):
            raise ConfigError(
                f"{worker_name(index, addresses)} does not fit the chief: {key} is {there!r} there "
                f"and {here!r} here."
            )


def _join_chief(cluster: Cluster, facts: Facts) -> Connection:
    """As a worker: register with the chief, and return the connection when all have come."""
    chief = worker_name(0, cluster.addresses)
    deadline = time.monotonic() + RENDEZVOUS_SECONDS
    reason = "it did not answer"
    while time.monotonic() < deadline:
        try:
            connection = Connection(_connect(cluster.addresses[0]))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            time.sleep(0.3)
            continue
        try:
            connection.send({"worker": cluster.index, "facts": facts})
            answer = _read(connection, ANSWER_SECONDS) or {}
            if "refused" in answer:
                raise UserError(f"{chief} refused this worker: {answer['refused']}")
            if "accepted" in answer:
                WorkerGroup(cluster.addresses, cluster.index, {0: connection}).broadcast()
                return connection
        except BaseException:
            connection.socket.close()
            raise
        connection.socket.close()  # Someone else, such as the chief of a run that is ending.
        time.sleep(0.3)
    raise RunError(
        f"{chief} could not be reached in {RENDEZVOUS_SECONDS:g} seconds ({reason}). Start the "
        "same command there, and check that its port is open to this machine."
    )


def _connect(address: str) -> socket.socket:
    connected = socket.create_connection(split_address(address), timeout=ANSWER_SECONDS)
    if connected.getsockname() == connected.getpeername():  # TCP lets a port connect to itself.
        connected.close()
        raise ConnectionRefusedError("connection refused")
    return connected


def _missing(missing: list[int], addresses: tuple[str, ...]) -> str:
    names = " and ".join(worker_name(index, addresses) for index in missing)
    return (
        f"{names} did not come in {RENDEZVOUS_SECONDS:g} seconds. Start the same command there "
        f"with its own index, and check that port {split_address(addresses[0])[1]} of this machine "
        "is open to it."
    )
