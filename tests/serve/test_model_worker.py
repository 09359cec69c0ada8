import threading

import pytest

pytest.importorskip("fastapi")

from maskadapter.serve import model_worker
from maskadapter.serve.model_worker import ModelWorker
from maskadapter.serve.refusals import Busy, Stopping


@pytest.fixture
def worker():
    made = ModelWorker(2)
    yield made
    made.close()


@pytest.fixture
def blocked(worker):
    begun, done = threading.Event(), threading.Event()
    worker.submit(lambda: (begun.set(), done.wait(10)))
    assert begun.wait(10)
    yield done
    done.set()


def test_work_is_done_in_its_order_by_one_thread(worker, blocked):
    order = []
    futures = [worker.submit(lambda number=number: order.append((number, threading.get_ident()))) for number in (1, 2)]
    assert worker.waiting == 2
    blocked.set()
    for future in futures:
        future.result(10)
    assert [number for number, _ in order] == [1, 2]
    assert len({thread for _, thread in order}) == 1


def test_memory_goes_back_once_when_there_is_no_work(monkeypatch):
    times, given_back = [], threading.Event()
    monkeypatch.setattr(model_worker, "_QUIET", 0.01)
    monkeypatch.setattr(model_worker, "return_free_memory", lambda: (times.append(1), given_back.set()))
    worker = ModelWorker(2)
    for _ in range(2):
        given_back.clear()
        assert worker.submit(lambda: 7).result(10) == 7
        assert given_back.wait(10)
    worker.close()
    assert len(times) <= 3  # before the first work perhaps, and after each


def test_a_full_queue_refuses_and_canceling_makes_room(worker, blocked):
    first = worker.submit(int)
    worker.submit(int)
    with pytest.raises(Busy) as refused:
        worker.submit(int)
    assert refused.value.status_code == 429
    assert int(refused.value.headers["Retry-After"]) >= 1
    assert first.cancel()
    assert worker.submit(lambda: 7) is not None
    blocked.set()


def test_what_work_raises_belongs_to_its_future(worker):
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 / 0).result(10)
    with pytest.raises(SystemExit):
        worker.submit(lambda: exit(1)).result(10)
    assert worker.submit(lambda: 7).result(10) == 7


def test_closing_cancels_what_waits(worker, blocked):
    waiting = worker.submit(int)
    closing = threading.Thread(target=worker.close)
    closing.start()
    while not waiting.done():
        pass
    assert waiting.cancelled()  # old word
    blocked.set()
    closing.join(10)
    assert not worker.is_open
    with pytest.raises(Stopping):
        worker.submit(int)
