"""Workers that meet, speak and part: each a thread of this process, without TensorFlow."""

import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any

import pytest

from translator.errors import ConfigError, RunError, Stopped, UserError
from translator.training.distributed import rendezvous as rendezvous_module
from translator.training.distributed import worker_group
from translator.training.distributed.cluster import Cluster
from translator.training.distributed.rendezvous import rendezvous
from translator.training.distributed.worker_group import Message, WorkerGroup
from translator.training.interruption import Interruption

FACTS = {"translator": "1", "training.seed": 1}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous_module, "RENDEZVOUS_SECONDS", 20.0)
    monkeypatch.setattr(rendezvous_module, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(worker_group, "LAST_WORDS_SECONDS", 0.5)


@pytest.fixture
def addresses() -> tuple[str, ...]:
    return tuple(f"127.0.0.1:{port}" for port in free_ports(3))


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


Act = Callable[[WorkerGroup], Any]


def gather(
    addresses: tuple[str, ...], *acts: Act, late: float = 0.0, **facts: Any
) -> list["Future[Any]"]:
    """Worker i meets the others and does acts[i]; what each gave or raised. `facts` are the
    last one's; worker 1 comes `late` seconds after the others."""

    def work(index: int) -> Any:
        time.sleep(late if index == 1 else 0.0)
        theirs = FACTS | facts if index == len(acts) - 1 else FACTS
        with rendezvous(Cluster(addresses, index), theirs) as group:
            return acts[index](group)

    with ThreadPoolExecutor(len(acts)) as pool:
        return [pool.submit(work, index) for index in range(len(acts))]


def orders(group: WorkerGroup) -> list[Message]:
    return list(group.orders(Interruption()))


def raised(future: "Future[Any]") -> str:
    return str(future.exception())


def stranger(address: str, patient: bool = True) -> socket.socket:
    """A connection, as soon as somebody listens."""
    host, _, port = address.partition(":")
    deadline = time.monotonic() + 5
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=5)
        except OSError:
            if not patient or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other end closes it, with or without having read all."""
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True


class TestMeeting:
    def test_waits_until_all_are_there(self, addresses: tuple[str, ...]) -> None:
        def chief(group: WorkerGroup) -> bool:
            return group.is_chief

        futures = gather(addresses, chief, lambda group: group.hear(), lambda group: group.index)
        assert futures[0].result() is True
        assert futures[1].result() == {"end": True}
        assert futures[2].result() == 2

    def test_names_who_does_not_come(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendezvous_module, "RENDEZVOUS_SECONDS", 1.0)
        chief, one = gather(addresses, orders, orders)
        said = f"Worker 2 at {addresses[2]} did not come in 1 seconds. Start the same command"
        assert isinstance(chief.exception(), RunError)
        assert raised(chief).startswith(said)
        assert raised(one).startswith(f"Worker 0, the chief, at {addresses[0]} ended: {said}")

    def test_names_a_chief_that_does_not_answer(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendezvous_module, "RENDEZVOUS_SECONDS", 1.0)
        with pytest.raises(RunError, match=r"the chief, at .* could not be reached in 1 seconds"):
            rendezvous(Cluster(addresses, 1), FACTS)

    def test_refuses_workers_that_differ(self, addresses: tuple[str, ...]) -> None:
        chief, one = gather(addresses[:2], orders, orders, **{"training.seed": 2})
        said = f"Worker 1 at {addresses[1]} does not fit the chief: training.seed is 2 there and 1"
        assert isinstance(chief.exception(), ConfigError)
        assert raised(chief).startswith(said)
        assert said in raised(one)

    def test_refuses_a_second_worker_of_the_same_index(self, addresses: tuple[str, ...]) -> None:
        def work(index: int, number: int) -> None:
            own = list(addresses)
            own[index] = addresses[number]  # its door is not in question
            with rendezvous(Cluster(tuple(own), index), FACTS) as group:
                time.sleep(0.1 * group.index)

        with ThreadPoolExecutor(3) as pool:
            chief = pool.submit(work, 0, 0)
            same = [pool.submit(work, 1, 1), pool.submit(work, 1, 2)]
            (refused,) = wait(same, timeout=10, return_when=FIRST_COMPLETED).done
            assert "sent us away: there is a worker 1 already" in raised(refused)
            pool.submit(work, 2, 2)
            assert chief.exception() is None

    def test_sends_strangers_away(self, addresses: tuple[str, ...]) -> None:
        with ThreadPoolExecutor(2) as pool:
            chief = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 0), FACTS))
            for words in (
                b"GET / HTTP/1.1\r\n\r\n",
                b"[" * 500_000 + b"\n",
                b'{"worker": "1", "facts": {}}\n',
            ):
                with stranger(addresses[0]) as found:
                    found.sendall(words)
                    assert is_closed(found)
            one = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 1), FACTS))
            with chief.result(), one.result():
                pass

    def test_takes_no_line_without_end(self, addresses: tuple[str, ...]) -> None:
        sent = 0
        with ThreadPoolExecutor(2) as pool:
            chief = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 0), FACTS))
            with stranger(addresses[0]) as found, pytest.raises(OSError):
                for _ in range(1000):
                    sent += found.send(bytes(65_536))
            one = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 1), FACTS))
            with chief.result(), one.result():
                pass
        assert sent < 50 * 2**20  # what the sockets hold, and a message at most

    def test_waits_for_no_silent_stranger(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendezvous_module, "ANSWER_SECONDS", 10.0)
        monkeypatch.setattr(rendezvous_module, "MAX_CONNECTIONS", 3)
        with ThreadPoolExecutor(2) as pool, ExitStack() as stack:
            chief = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 0), FACTS))
            silent = [stack.enter_context(stranger(addresses[0])) for _ in range(4)]
            assert is_closed(silent[0])  # the oldest of one too many
            started = time.monotonic()
            one = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 1), FACTS))
            with chief.result(), one.result():
                assert time.monotonic() - started < 9
            assert all(map(is_closed, silent))

    def test_strangers_do_not_make_it_wait_longer(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendezvous_module, "RENDEZVOUS_SECONDS", 1.0)
        with ThreadPoolExecutor(1) as pool:
            chief = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 0), FACTS))
            with pytest.raises(OSError):
                stranger(addresses[0]).close()
                while True:
                    stranger(addresses[0], patient=False).close()
            assert "did not come in 1 seconds" in raised(chief)

    def test_refuses_a_port_in_use(self, addresses: tuple[str, ...]) -> None:
        with (
            socket.create_server(("", int(addresses[1].rpartition(":")[2]))),
            pytest.raises(RunError, match=r"the address of this worker, cannot be used: Address"),
        ):
            rendezvous(Cluster(addresses, 1), FACTS)


class TestCrew:
    def test_does_what_the_chief_orders(self, addresses: tuple[str, ...]) -> None:
        def chief(group: WorkerGroup) -> None:
            for step in (3, 4, 5):
                group.begin_step(step, 0.5 / step)
            group.examine(5)
            group.roll_back(2)

        _, one, two = gather(addresses, chief, orders, orders)
        taken: list[Message] = [{"step": n, "rate": 0.5 / n} for n in (3, 4, 5)]
        assert one.result() == two.result() == [*taken, {"examine": 5}, {"back": 2}]

    def test_gathers_a_word_of_each_in_their_order(self, addresses: tuple[str, ...]) -> None:
        def ready(group: WorkerGroup) -> None:
            group.tell(ready=group.index)

        chief, *_ = gather(addresses, lambda group: group.gather(), ready, ready, late=0.5)
        assert chief.result() == [{"ready": 1}, {"ready": 2}]

    def test_stops_all_at_one_step_when_one_gets_a_signal(self, addresses: tuple[str, ...]) -> None:
        def chief(group: WorkerGroup) -> None:
            for step in range(1, 1000):
                group.begin_step(step, 0.5 / step)
                done.append(step)
                time.sleep(0.01)

        def signalled(group: WorkerGroup) -> None:
            interruption = Interruption()
            for order in group.orders(interruption):
                taken[group.index].append(order["step"])
                if order["step"] == 5 and group.index == 2:
                    interruption.received = signal.SIGTERM

        done: list[int] = []
        taken: dict[int, list[int]] = {1: [], 2: []}
        for future in gather(addresses, chief, signalled, signalled):
            error = future.exception()
            assert isinstance(error, Stopped)
            assert error.signal_number == signal.SIGTERM
        assert done == taken[1] == taken[2]
        assert 5 <= len(done) < 900

    def test_hears_why_the_chief_fails(self, addresses: tuple[str, ...]) -> None:
        def chief(group: WorkerGroup) -> None:
            raise UserError("The disk is full.")

        _, one = gather(addresses[:2], chief, orders)
        expected = f"Worker 0, the chief, at {addresses[0]} ended: The disk is full."
        assert raised(one) == expected

    def test_notices_one_that_is_gone_without_a_word(self, addresses: tuple[str, ...]) -> None:
        def gone(group: WorkerGroup) -> None:
            group._connections.pop(0).socket.close()

        chief, _ = gather(addresses[:2], lambda group: group.gather(), gone)
        assert raised(chief).startswith(f"Worker 1 at {addresses[1]} is gone. Nothing is lost")

    def test_gives_tensorflows_reason_if_nobody_is_gone(self, addresses: tuple[str, ...]) -> None:
        chief, _ = gather(addresses[:2], lambda group: str(group.loss("no heartbeat.")), orders)
        assert chief.result().startswith("TensorFlow lost the others: no heartbeat. Nothing is")

    def test_of_one_does_what_it_likes(self) -> None:
        with WorkerGroup() as group:
            assert group.is_chief
            assert group.gather() == []
            group.begin_step(1, 0.1)
