"""The processes that train one run together, and the messages that they exchange. No TensorFlow.

Worker 0 is the chief: it decides, and the others follow. It announces every step before all enter
TensorFlow, because a process inside TensorFlow cannot handle a signal or notice a lost worker.

Every process also sends an empty message every HEARTBEAT_SECONDS, because a worker that is frozen,
or whose link is down, closes no connection.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from translator.errors import Stopped, UserError
from translator.training.distributed.cluster import Cluster
from translator.training.interruption import Interruption

HEARTBEAT_SECONDS = 2.0

SILENCE_SECONDS = 30.0
"""After this time without a message, a worker counts as lost."""

CLOSING_SECONDS = 5.0
"""How long a process waits for the others to give the reason why they end, and to close."""

LONGEST_MESSAGE = 2**20
"""Bytes. The longest message of a worker is its configuration; a longer one is not a worker's."""

RESUMABLE = (
    "Nothing is lost up to the last checkpoint: the same command on all workers continues from it."
)

ALONE = Cluster(("",), 0)
Message = dict[str, Any]


class Connection:
    """A TCP socket that carries messages: JSON objects, one a line.

    multiprocessing.connection would block on half a message, which any program may send.
    """

    def __init__(self, socket_: socket.socket) -> None:
        socket_.settimeout(None)
        socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = socket_
        self._received = b""
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message, or do nothing if the other end is closed: `receive` reports that."""
        with self._sending, suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float) -> Message | None:
        """Return the next message, or None if it is not complete in time.

        Raises OSError if the other end is closed or sends anything else.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            if not wait([self.socket], max(0.0, deadline - time.monotonic())):
                return None
            received = self.socket.recv(65_536)
            self._received += received
            if not received or len(self._received) > LONGEST_MESSAGE:
                raise ConnectionError
        line, _, self._received = self._received.partition(b"\n")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise ConnectionError
        return message


class WorkerGroup:
    """All workers of a run, as one of them sees them. `WorkerGroup()` is a chief that works alone.

    As a context, it sends heartbeats; at its end it sends the reason to the others, which then end,
    too. Every method that waits for another worker raises Stopped if a signal stopped that worker,
    and UserError if it failed, closed its connection or does not answer.
    """

    def __init__(
        self, cluster: Cluster = ALONE, connections: Mapping[int, Connection] | None = None
    ) -> None:
        """The chief has a connection to each other worker, and these have one to the chief."""
        self.index = cluster.index
        self.is_chief = cluster.index == 0
        self.size = len(cluster.addresses)
        self._cluster = cluster
        self._connections = dict(sorted((connections or {}).items()))
        self._is_closing = threading.Event()

    def send(self, **message: Any) -> None:
        """Send a message to the chief, or as the chief to all others."""
        for connection in self._connections.values():
            connection.send(message)

    def broadcast(self, value: Any = None) -> Any:
        """Return the chief's value on all workers."""
        if self.is_chief:
            self.send(value=value)
            return value
        return self._receive(0)["value"]

    def barrier(self) -> None:
        """Wait until all workers have called this."""
        if self.is_chief:
            for index in self._connections:
                self._receive(index)
        else:
            self.send(ready=True)
        self.broadcast()

    def begin_step(self, step: int, rate: float) -> None:
        """As the chief: let all take a step with this learning rate."""
        self._read_all()
        self.send(step=step, rate=rate)

    def examine(self, step: int) -> None:
        """As the chief: let all compute the gradient norms of a step."""
        self.send(examine=step)

    def roll_back(self, step: int) -> None:
        """As the chief: let all return to the checkpoint of a step, or their first state for 0."""
        self.send(back=step)

    def orders(self, interruption: Interruption) -> Iterator[Message]:
        """As a worker: yield what the chief orders, until it has finished.

        A deferred signal is passed on to the chief, which stops all after the same step.
        """
        is_passed_on = False
        deadline = time.monotonic() + SILENCE_SECONDS
        while True:
            if interruption.received is not None and not is_passed_on:
                self.send(stop=interruption.received)
                is_passed_on = True
            message = self._read(0, 0.2)
            if message is None:
                if time.monotonic() > deadline:
                    raise self._no_answer(0)
                continue
            if "end" in message:
                return
            if message:
                yield message
            deadline = time.monotonic() + SILENCE_SECONDS

    def lost_worker_error(self, reason: str) -> UserError:
        """The error to end with when TensorFlow has lost a worker, for a reason that it gives.

        It names the worker, and the worker's own reason, if these can be found out.
        """
        silent = set(self._connections)
        try:
            self._read_all()
            deadline = time.monotonic() + CLOSING_SECONDS
            while time.monotonic() < deadline:
                for index in self._connections:
                    if self._read(index, 0.1) is not None:
                        silent.discard(index)
        except UserError as error:
            return error
        if silent:
            return self._no_answer(min(silent))
        return UserError(f"TensorFlow lost a worker: {reason} {RESUMABLE}")

    def __enter__(self) -> WorkerGroup:
        if self._connections:
            threading.Thread(target=self._send_heartbeats, daemon=True).start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Send the reason, and wait for the others to close: TensorFlow needs the chief so long."""
        self._is_closing.set()
        if error is None:
            self.send(end=True)
        elif isinstance(error, Stopped):
            self.send(stop=error.signal_number)
        else:
            self.send(failed=str(error) if isinstance(error, UserError) else repr(error))
        deadline = time.monotonic() + CLOSING_SECONDS
        for connection in self._connections.values():
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_WR)
                while connection.receive(deadline - time.monotonic()) is not None:
                    pass
            connection.socket.close()

    def _send_heartbeats(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._is_closing.wait(HEARTBEAT_SECONDS):
            self.send()

    def _receive(self, index: int) -> Message:
        """Wait for a message that is not a heartbeat."""
        while (message := self._read(index, SILENCE_SECONDS)) is not None:
            if message:
                return message
        raise self._no_answer(index)

    def _read_all(self) -> None:
        """Raise what another worker has reported, and skip the heartbeats."""
        for index in self._connections:
            while self._read(index, 0.0) is not None:
                pass

    def _read(self, index: int, seconds: float) -> Message | None:
        name = self._cluster.name(index)
        try:
            message = self._connections[index].receive(seconds)
        except OSError:
            raise UserError(f"{name} has disconnected. {RESUMABLE}") from None
        if message is not None and "stop" in message:
            raise Stopped(int(message["stop"]))
        if message is not None and "failed" in message:
            raise UserError(f"{name} ended: {message['failed']}")
        return message

    def _no_answer(self, index: int) -> UserError:
        return UserError(f"{self._cluster.name(index)} does not answer. {RESUMABLE}")
