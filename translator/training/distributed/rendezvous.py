"""Workers connect to each other before TensorFlow joins them.

TensorFlow would wait for a missing worker without end, and handle no signal meanwhile. This wait
ends after RENDEZVOUS_SECONDS with an error that names the missing workers, and it refuses workers
whose configurations differ. The chief listens at its own address until all have registered. Then
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
from translator.training.distributed.worker_group import Connection, Message, WorkerGroup

RENDEZVOUS_SECONDS = 300.0
"""How long a worker waits for the others."""

ANSWER_SECONDS = 5.0
"""How long the other end may take to accept a connection, to register or to answer."""

MAX_UNREGISTERED = 64
"""Connections that have not registered. If there are more, the oldest is closed."""


def rendezvous(cluster: Cluster, facts: dict[str, Any]) -> WorkerGroup:
    """Wait until all workers have connected with the same facts.

    Raises RunError if a worker is missing after RENDEZVOUS_SECONDS or our address cannot be used;
    ConfigError if facts differ. All workers that have connected then raise an error with this
    reason.
    """
    with _listening(cluster.addresses[cluster.index]) as listener:
        if cluster.index == 0:
            return WorkerGroup(cluster, _await_workers(listener, cluster, facts))
        return WorkerGroup(cluster, {0: _join_chief(cluster, facts)})


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
    listener: socket.socket, cluster: Cluster, facts: dict[str, Any]
) -> dict[int, Connection]:
    """As the chief: return the connections of all others, by index.

    Anyone may connect. All connections are read side by side, so that none delays another, and
    one that does not register within ANSWER_SECONDS is closed.
    """
    registered: dict[int, Connection] = {}
    unregistered: dict[Connection, float] = {}  # with the time at which each is closed
    deadline = time.monotonic() + RENDEZVOUS_SECONDS
    try:
        while missing := [i for i in range(1, len(cluster.addresses)) if i not in registered]:
            if time.monotonic() >= deadline:
                raise RunError(_missing(missing, cluster))
            with suppress(TimeoutError):
                connection = Connection(listener.accept()[0])
                unregistered[connection] = time.monotonic() + ANSWER_SECONDS
            if len(unregistered) > MAX_UNREGISTERED:
                unregistered[next(iter(unregistered))] = 0.0
            for connection, until in list(unregistered.items()):
                message = _read(connection, 0.0)
                if message is not None or time.monotonic() >= until:
                    del unregistered[connection]
                    _register(connection, message or {}, registered, cluster, facts)
            for index, connection in list(registered.items()):
                connection.send({})
                if _read(connection, 0.0) is not None:
                    registered.pop(index).socket.close()
    except BaseException as error:
        with WorkerGroup(cluster, registered):  # sends the error to those who have registered
            raise error
    finally:
        for connection in unregistered:
            connection.socket.close()
    WorkerGroup(cluster, registered).broadcast(True)
    return registered


def _read(connection: Connection, seconds: float) -> Message | None:
    """Return the next message, {} if the other end is closed, or None if none comes in time."""
    try:
        return connection.receive(seconds)
    except OSError:
        return {}


def _register(
    connection: Connection,
    message: Message,
    registered: dict[int, Connection],
    cluster: Cluster,
    facts: dict[str, Any],
) -> None:
    """As the chief: register a worker, or close the connection of anyone else.

    Raises ConfigError if the worker's facts differ.
    """
    index, theirs = message.get("worker"), message.get("facts")
    if type(index) is not int or not isinstance(theirs, dict):
        connection.socket.close()
    elif index in registered or not 0 < index < len(cluster.addresses):
        reason = f"worker {index} has connected already; give each its own index."
        connection.send({"refused": reason})
        connection.socket.close()
    else:
        registered[index] = connection
        connection.send({"accepted": True})
        for key, there, here in differences(theirs, facts):
            raise ConfigError(
                f"{cluster.name(index)} does not fit the chief: {key} is {there!r} there and "
                f"{here!r} here."
            )


def _join_chief(cluster: Cluster, facts: dict[str, Any]) -> Connection:
    """As a worker: register with the chief, and return the connection when all have registered."""
    chief = cluster.name(0)
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
                WorkerGroup(cluster, {0: connection}).broadcast()
                return connection
        except BaseException:
            connection.socket.close()
            raise
        connection.socket.close()  # another program, such as the chief of a run that is ending
        time.sleep(0.3)
    raise RunError(
        f"{chief} could not be reached in {RENDEZVOUS_SECONDS:g} seconds ({reason}). Start the "
        "same command there, and check that its port is open to this machine."
    )


def _connect(address: str) -> socket.socket:
    connected = socket.create_connection(split_address(address), timeout=ANSWER_SECONDS)
    if connected.getsockname() == connected.getpeername():  # TCP lets a port connect to itself
        connected.close()
        raise ConnectionRefusedError("connection refused")
    return connected


def _missing(missing: list[int], cluster: Cluster) -> str:
    names = " and ".join(map(cluster.name, missing))
    return (
        f"{names} did not connect in {RENDEZVOUS_SECONDS:g} seconds. Start the same command there "
        f"with its own index, and check that port {split_address(cluster.addresses[0])[1]} of this "
        "machine is open to it."
    )
