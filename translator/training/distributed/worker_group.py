"""The processes that train one run together, and what they say to each other.

Worker 0 is the chief: it decides, and the others follow. Before every step it tells them to take
it, and only then do all enter TensorFlow, where nobody hears a signal or notices that another is
gone. A message is a line of JSON; the connections are those of the rendezvous (rendezvous.py). No
TensorFlow here.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from translator.errors import Stopped, UserError
from translator.training.interruption import Interruption

LAST_WORDS_SECONDS = 5.0
"""How long one waits for another to say why it goes, or for it to be gone."""

LONGEST_MESSAGE = 2**20
"""Bytes. The longest of ours is a configuration; whoever sends more is no worker."""

LOST = (
    "Nothing is lost up to the last checkpoint: the same command on all workers continues from it."
)

Message = dict[str, Any]


class Left(Exception):
    """The other end of a connection is gone without a word, or is no worker."""


class Connection:
    """A socket that carries messages."""

    def __init__(self, socket_: socket.socket) -> None:
        self.socket = socket_
        self._received = b""
        socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A machine that lost its power says no goodbye: ask whether it is there after 20 seconds.
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                socket_.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def send(self, message: Message) -> None:
        """Does nothing when the other end is gone: receiving will tell."""
        with suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float) -> Message | None:
        """The next message; None if it is not whole in time. Raises Left, also for what is none."""
        deadline = time.monotonic() + seconds
        is_late = False
        while b"\n" not in self._received:
            if is_late or not _readable(self.socket, max(0.0, deadline - time.monotonic())):
                return None
            try:
                more = self.socket.recv(65_536)
            except OSError:
                more = b""
            if not more:
                raise Left
            self._received += more
            if len(self._received) > LONGEST_MESSAGE:
                raise Left
            is_late = time.monotonic() >= deadline
        line, _, self._received = self._received.partition(b"\n")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise Left from None
        return message if isinstance(message, dict) else {}


class WorkerGroup:
    """All workers of a run, as one of them sees them. `WorkerGroup()` is a chief that works alone.

    A context: who leaves it tells the others why, and they leave, too.
    """

    def __init__(
        self,
        addresses: tuple[str, ...] = ("",),
        index: int = 0,
        connections: Mapping[int, Connection] | None = None,
    ) -> None:
        """The chief has a connection to each other worker, and these have one to the chief."""
        self.index = index
        self.size = len(addresses)
        self._addresses = addresses
        self._connections = dict(sorted((connections or {}).items()))

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def tell(self, **message: Any) -> None:
        """Say something to the chief, or as the chief to all others."""
        for connection in self._connections.values():
            connection.send(message)

    def begin_step(self, step: int, rate: float) -> None:
        """As the chief: make all take a step, with its learning rate.

        Raises as `hear` does, also if one asks to stop.
        """
        for index in self._connections:
            self._listen(index, 0.0)
        self.tell(step=step, rate=rate)

    def examine(self, step: int) -> None:
        """As the chief: make all compute the gradient norms of a step."""
        self.tell(examine=step)

    def roll_back(self, step: int) -> None:
        """As the chief: make all take up the checkpoint of a step, or their first state for 0."""
        self.tell(back=step)

    def gather(self) -> list[Message]:
        """As the chief: one message of each other worker, in their order. Raises as `hear` does."""
        return [self._wait(index) for index in self._connections]

    def hear(self) -> Message:
        """As a worker: what the chief says next.

        Raises Stopped when all are to stop by a signal, UserError when the chief fails or is gone.
        """
        return self._wait(0)

    def orders(self, interruption: Interruption) -> Iterator[Message]:
        """As a worker: what to do, until the chief has finished.

        A signal, deferred, goes to the chief, which stops all at one step. Raises as `hear` does.
        """
        told = False
        while True:
            if interruption.received is not None and not told:
                self.tell(stop=interruption.received)
                told = True
            message = self._listen(0, 0.2)
            if message is None:
                continue
            if "end" in message:
                return
            yield message

    def loss(self, reason: str) -> UserError:
        """The sentence to leave with when TensorFlow, for its reason, has lost another worker.

        Raises Stopped if that worker says that it was stopped by a signal.
        """
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        while time.monotonic() < deadline:
            for index in self._connections:
                try:
                    self._listen(index, 0.1)
                except UserError as error:
                    return error
        return UserError(f"TensorFlow lost the others: {reason} {LOST}")

    def __enter__(self) -> WorkerGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            self.tell(end=True)
        elif isinstance(error, Stopped):
            self.tell(stop=error.signal_number)
        else:
            self.tell(failed=str(error) if isinstance(error, UserError) else repr(error))
        for connection in self._connections.values():
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_WR)
        if self.is_chief:  # TensorFlow wants its leader to be the last.
            self._see_off()
        for connection in self._connections.values():
            connection.socket.close()

    def _see_off(self) -> None:
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        for connection in self._connections.values():
            with suppress(Left):
                while connection.receive(deadline - time.monotonic()) is not None:
                    pass

    def _wait(self, index: int) -> Message:
        while True:
            message = self._listen(index, 60.0)
            if message is not None:
                return message

    def _listen(self, index: int, seconds: float) -> Message | None:
        try:
            message = self._connections[index].receive(seconds)
        except Left:
            raise UserError(f"{self._name(index)} is gone. {LOST}") from None
        if message is not None and "stop" in message:
            raise Stopped(int(message["stop"]))
        if message is not None and "failed" in message:
            raise UserError(f"{self._name(index)} ended: {message['failed']}")
        return message

    def _name(self, index: int) -> str:
        return worker_name(index, self._addresses)


def worker_name(index: int, addresses: tuple[str, ...]) -> str:
    return f"Worker {index}{'' if index else ', the chief,'} at {addresses[index]}"


def _readable(socket_: socket.socket, seconds: float) -> bool:
    poll = select.poll()  # select.select has no room for descriptors above 1,023.
    poll.register(socket_, select.POLLIN)
    return bool(poll.poll(1000 * seconds))
