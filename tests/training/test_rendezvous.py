"""Workers connect, exchange messages and disconnect: threads or processes without TensorFlow."""

import multiprocessing
import os
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
    monkeypatch.setattr(worker_group, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(worker_group, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(worker_group, "CLOSING_SECONDS", 0.5)


@pytest.fixture
def addresses() -> tuple[str, ...]:
    return tuple(f"127.0.0.1:{port}" for port in free_ports(3))


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


Work = Callable[[WorkerGroup], Any]


def run_all(addresses: tuple[str, ...], *works: Work, **facts: Any) -> list["Future[Any]"]:
    """Let worker i call works[i] with its group. `facts` are those of the last one."""

    def run(index: int) -> Any:
        own_facts = FACTS | facts if index == len(works) - 1 else FACTS
        with rendezvous(Cluster(addresses, index), own_facts) as group:
            return works[index](group)

    with ThreadPoolExecutor(len(works)) as pool:
        return [pool.submit(run, index) for index in range(len(works))]


def orders(group: WorkerGroup) -> list[Message]:
    return list(group.orders(Interruption()))


def error_of(future: "Future[Any]") -> str:
    return str(future.exception())


def connect(address: str, wait: bool = True) -> socket.socket:
    """Connect as another program would; with `wait`, as soon as the chief listens."""
    host, _, port = address.partition(":")
    deadline = time.monotonic() + 5
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=5)
        except OSError:
            if not wait or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other end closes it."""
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True


class TestRendezvous:
    def test_returns_a_group_when_all_have_connected(self, addresses: tuple[str, ...]) -> None:
        def chief(group: WorkerGroup) -> bool:
            return group.is_chief

        futures = run_all(addresses, chief, orders, lambda group: group.index)
        assert [future.result() for future in futures] == [True, [], 2]

    def test_names_a_missing_worker(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendezvous_module, "RENDEZVOUS_SECONDS", 1.0)
        chief, one = run_all(addresses, orders, orders)
        reason = f"Worker 2 at {addresses[2]} did not connect in 1 seconds. Start the same command"
        assert isinstance(chief.exception(), RunError)
        assert error_of(chief).startswith(reason)
        assert error_of(one).startswith(f"Worker 0, the chief, at {addresses[0]} ended: {reason}")

    def test_names_a_missing_chief(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendezvous_module, "RENDEZVOUS_SECONDS", 1.0)
        with pytest.raises(RunError, match=r"the chief, at .* could not be reached in 1 seconds"):
            rendezvous(Cluster(addresses, 1), FACTS)

    def test_refuses_workers_that_differ(self, addresses: tuple[str, ...]) -> None:
        chief, one = run_all(addresses[:2], orders, orders, **{"training.seed": 2})
        reason = (
            f"Worker 1 at {addresses[1]} does not fit the chief: training.seed is 2 there and 1"
        )
        assert isinstance(chief.exception(), ConfigError)
        assert error_of(chief).startswith(reason)
        assert reason in error_of(one)

    def test_refuses_a_second_worker_of_the_same_index(self, addresses: tuple[str, ...]) -> None:
        ports = iter(free_ports(3))

        def work(index: int) -> None:
            own = list(addresses)
            if index:
                own[index] = f"127.0.0.1:{next(ports)}"  # Both can listen.
            with rendezvous(Cluster(tuple(own), index), FACTS) as group:
                time.sleep(0.1 * group.index)

        with ThreadPoolExecutor(3) as pool:
            chief = pool.submit(work, 0)
            same = [pool.submit(work, 1), pool.submit(work, 1)]
            (refused,) = wait(same, timeout=10, return_when=FIRST_COMPLETED).done
            assert "refused this worker: worker 1 has connected already" in error_of(refused)
            pool.submit(work, 2)
            assert chief.exception() is None

    def test_closes_connections_of_other_programs(self, addresses: tuple[str, ...]) -> None:
        with ThreadPoolExecutor(2) as pool:
            chief = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 0), FACTS))
            for message in (
                b"GET / HTTP/1.1\r\n\r\n",
                b"[" * 500_000 + b"\n",
                b'{"worker": "1", "facts": {}}\n',
            ):
                with connect(addresses[0]) as connection:
                    connection.sendall(message)
                    assert is_closed(connection)
            one = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 1), FACTS))
            with chief.result(), one.result():
                pass

    def test_closes_a_connection_that_sends_an_endless_line(
        self, addresses: tuple[str, ...]
    ) -> None:
        sent = 0
        with ThreadPoolExecutor(2) as pool:
            chief = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 0), FACTS))
            with connect(addresses[0]) as connection, pytest.raises(OSError):
                for _ in range(1000):
                    sent += connection.send(bytes(65_536))
            one = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 1), FACTS))
            with chief.result(), one.result():
                pass
        assert sent < 50 * 2**20  # What the sockets buffer, and one message at most.

    def test_silent_connections_do_not_delay_the_workers(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendezvous_module, "ANSWER_SECONDS", 10.0)
        monkeypatch.setattr(rendezvous_module, "MAX_UNREGISTERED", 3)
        with ThreadPoolExecutor(2) as pool, ExitStack() as stack:
            chief = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 0), FACTS))
            silent = [stack.enter_context(connect(addresses[0])) for _ in range(4)]
            assert is_closed(silent[0])  # the oldest, as there is one too many
            started = time.monotonic()
            one = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 1), FACTS))
            with chief.result(), one.result():
                assert time.monotonic() - started < 9
            assert all(map(is_closed, silent))

    def test_other_connections_do_not_extend_the_time_limit(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendezvous_module, "RENDEZVOUS_SECONDS", 1.0)
        with ThreadPoolExecutor(1) as pool:
            chief = pool.submit(lambda: rendezvous(Cluster(addresses[:2], 0), FACTS))
            with pytest.raises(OSError):
                connect(addresses[0]).close()
                while True:
                    connect(addresses[0], wait=False).close()
            assert "did not connect in 1 seconds" in error_of(chief)

    def test_refuses_a_port_in_use(self, addresses: tuple[str, ...]) -> None:
        with (
            socket.create_server(("", int(addresses[1].rpartition(":")[2]))),
            pytest.raises(RunError, match=r"the address of this worker, cannot be used: Address"),
        ):
            rendezvous(Cluster(addresses, 1), FACTS)


class TestWorkerGroup:
    def test_workers_receive_the_orders_of_the_chief(self, addresses: tuple[str, ...]) -> None:
        def chief(group: WorkerGroup) -> None:
            for step in (3, 4, 5):
                group.begin_step(step, 0.5 / step)
            group.examine(5)
            group.roll_back(2)

        _, one, two = run_all(addresses, chief, orders, orders)
        taken: list[Message] = [{"step": n, "rate": 0.5 / n} for n in (3, 4, 5)]
        assert one.result() == two.result() == [*taken, {"examine": 5}, {"back": 2}]

    def test_broadcasts_a_value_of_the_chief(self, addresses: tuple[str, ...]) -> None:
        futures = run_all(
            addresses,
            lambda group: group.broadcast({"step": 7}),
            lambda group: group.broadcast(),
            lambda group: group.broadcast(),
        )
        assert [future.result() for future in futures] == [{"step": 7}] * 3

    def test_barrier_waits_for_the_last_worker(self, addresses: tuple[str, ...]) -> None:
        def work(group: WorkerGroup) -> tuple[float, float]:
            time.sleep(0.3 * group.index)
            before = time.monotonic()
            group.barrier()
            return before, time.monotonic()

        futures = run_all(addresses, work, work, work)
        before, after = zip(*[future.result() for future in futures], strict=True)
        assert min(after) >= max(before)

    def test_a_signal_to_one_worker_stops_all_after_the_same_step(
        self, addresses: tuple[str, ...]
    ) -> None:
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
        for future in run_all(addresses, chief, signalled, signalled):
            error = future.exception()
            assert isinstance(error, Stopped)
            assert error.signal_number == signal.SIGTERM
        assert done == taken[1] == taken[2]
        assert 5 <= len(done) < 900

    def test_reports_why_the_chief_failed(self, addresses: tuple[str, ...]) -> None:
        def chief(group: WorkerGroup) -> None:
            raise UserError("The disk is full.")

        _, one = run_all(addresses[:2], chief, orders)
        expected = f"Worker 0, the chief, at {addresses[0]} ended: The disk is full."
        assert error_of(one) == expected

    def test_notices_a_lost_connection(self, addresses: tuple[str, ...]) -> None:
        def lost(group: WorkerGroup) -> None:
            group._connections.pop(0).socket.close()

        chief, _ = run_all(addresses[:2], lambda group: group.barrier(), lost)
        assert error_of(chief).startswith(
            f"Worker 1 at {addresses[1]} has disconnected. Nothing is lost"
        )

    def test_lost_worker_error_has_the_reason_of_tensorflow_if_all_answer(
        self, addresses: tuple[str, ...]
    ) -> None:
        chief, _ = run_all(
            addresses[:2], lambda group: str(group.lost_worker_error("no heartbeat.")), orders
        )
        assert chief.result().startswith("TensorFlow lost a worker: no heartbeat. Nothing is lost")

    def test_waits_for_a_slow_worker_that_sends_heartbeats(
        self, addresses: tuple[str, ...]
    ) -> None:
        def slow(group: WorkerGroup) -> None:
            time.sleep(1.5)
            group.barrier()

        for future in run_all(addresses, slow, lambda group: group.barrier(), slow):
            assert future.exception() is None

    def test_a_group_of_one_does_not_wait(self) -> None:
        with WorkerGroup() as group:
            assert group.is_chief
            assert group.broadcast(3) == 3
            group.barrier()
            group.begin_step(1, 0.1)


class TestSilence:
    """A worker that stops answering is lost after SILENCE_SECONDS, even if it stays connected."""

    @pytest.mark.parametrize("index", [0, 1])
    def test_at_a_barrier_is_noticed(self, addresses: tuple[str, ...], index: int) -> None:
        error = self.error_beside_silent_worker(addresses[:2], index, lambda group: group.barrier())
        assert f"at {addresses[1 - index]} does not answer. Nothing is lost" in str(error)

    def test_between_steps_is_noticed(self, addresses: tuple[str, ...]) -> None:
        error = self.error_beside_silent_worker(addresses[:2], 1, orders)
        assert str(error).startswith(f"Worker 0, the chief, at {addresses[0]} does not answer.")

    def test_explains_an_error_of_tensorflow(self, addresses: tuple[str, ...]) -> None:
        def fail(group: WorkerGroup) -> None:
            raise group.lost_worker_error("no heartbeat.")

        error = self.error_beside_silent_worker(addresses[:2], 0, fail)
        assert str(error).startswith(f"Worker 1 at {addresses[1]} does not answer.")

    def error_beside_silent_worker(
        self, addresses: tuple[str, ...], index: int, work: Work
    ) -> BaseException | None:
        """What `work` raises on worker `index` if the other worker does nothing at all."""
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(rendezvous, Cluster(addresses, i), FACTS) for i in range(2)]
            group, silent = futures[index].result(), futures[1 - index].result()
            try:
                with group:
                    work(group)
            except UserError as error:
                return error
            finally:
                with silent:
                    pass
        return None

    def test_before_all_have_connected_is_noticed(
        self, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another program accepts at the chief's address, and sends nothing."""
        monkeypatch.setattr(rendezvous_module, "RENDEZVOUS_SECONDS", 1.0)
        host, _, port = addresses[0].partition(":")
        with (
            socket.create_server((host, int(port))),
            pytest.raises(RunError, match=r"reached in 1 seconds \(it did not answer\)\."),
        ):
            rendezvous(Cluster(addresses[:2], 1), FACTS)

    def test_of_a_frozen_process_is_noticed(self, addresses: tuple[str, ...]) -> None:
        process = multiprocessing.get_context("spawn").Process(
            target=follow_orders, args=(addresses[:2],)
        )
        process.start()
        try:
            with (
                pytest.raises(
                    UserError, match=r"^Worker 1 at .* does not answer\. Nothing is lost"
                ),
                rendezvous(Cluster(addresses[:2], 0), FACTS) as group,
            ):
                group.begin_step(1, 0.5)
                group.barrier()
                os.kill(process.pid or 0, signal.SIGSTOP)
                started = time.monotonic()
                group.barrier()
        finally:
            assert time.monotonic() - started < 5
            os.kill(process.pid or 0, signal.SIGCONT)
            process.join(20)
        assert process.exitcode == 3


def follow_orders(addresses: tuple[str, ...]) -> None:
    """Worker 1 in a process of its own."""
    worker_group.HEARTBEAT_SECONDS = 0.1
    with rendezvous(Cluster(addresses, 1), FACTS) as group:
        try:
            for order in group.orders(Interruption()):
                if "step" in order:
                    group.send(ready=True)
        except UserError as error:
            raise SystemExit(3 if "does not answer" in str(error) else 1) from None
