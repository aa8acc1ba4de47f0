"""The tasks of a run done by processes of Ray, on one machine or many (https://www.ray.io).

Each worker loads the model once, explains the shards that it is given, and writes them itself. The one that dies is started
again by Ray, and its shard with it; a shard is a file that is there whole or not at all, so that nothing is lost or twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Annotated, Any

import tensorflow as tf

from tfxai.data.carrying import carried
from tfxai.data.explaining import ExplainingAll, first_row
from tfxai.data.tasks import Done, Plan, Task
from tfxai.model import build, snapshot
from tfxai.receipts import of_weights
from tfxai.results import as_json
from tfxai.support import Count, Model, check_settings, first_line, number

RETRIES = 5  # of a shard whose worker died; one that kills each of them is not tried for ever
AT_ONCE = 2  # shards in the hands of a worker: one is written while the other is explained


@dataclasses.dataclass(frozen=True)
class Ray:
    """How many workers of Ray do a run, and what each has for itself.

    workers: processes; None: as many as the cluster has room for when the run begins.
    cpus:    threads of each. Last digits depend on their number, as in every process that runs TensorFlow, and on nothing else here.
    gpus:    of each; a half lets two share one.
    address: of the cluster; None: the one that this process or the variable RAY_ADDRESS names, else this machine.
    """

    workers: Count | None = None
    cpus: Count = 1
    gpus: Annotated[float, number(least=0)] = 0
    address: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def threads(self) -> dict[str, int]:
        """What of a worker's environment is another than this process's."""
        return {"intra_op_threads": self.cpus, "inter_op_threads": self.cpus}


def done_on_ray(how: Ray, plan: Plan, model: Model, tasks: Iterator[Task], proven: bool) -> Generator[Done]:
    """Does the tasks by Ray's workers, and tells of each shard when it is on the disk.

    proven: whether any row was explained before; until one is, no two shards are in work.

    Raises ImportError if Ray is missing, ValueError if the model cannot be sent, or what a worker raised.
    """
    ray = _ray()
    packed = carried(model, ray.cloudpickle.dumps)
    first = next(tasks, None)
    if first is None:
        return
    with _connected(ray, how):
        sent = ray.put((plan, packed))  # held here, for workers that are started again
        workers = _workers(ray, how)
        yield from _handed_out(ray, workers, sent, itertools.chain([first], tasks), proven)


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ImportError(
            "engine='ray' needs Ray, which is not installed: pip install 'tfxai[ray]'"
        ) from error
    return ray


@contextlib.contextmanager
def _connected(ray: Any, how: Ray) -> Iterator[None]:
    """A cluster; one that was not there before is let go afterwards."""
    if ray.is_initialized():
        yield
        return
    ray.init(how.address, log_to_driver=False, include_dashboard=False, logging_level="error")
    try:
        yield
    finally:
        ray.shutdown()


def _workers(ray: Any, how: Ray) -> list[Any]:
    there = ray.cluster_resources() if how.workers else ray.available_resources()
    room = int(there.get("CPU", 0) // how.cpus)
    if how.gpus:
        room = min(room, int(there.get("GPU", 0) // how.gpus))
    if room < (how.workers or 1):
        raise ValueError(
            f"The cluster has {there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs, room for {room} workers of {how}. Ask for "
            "fewer, or for less for each."
        )
    worker = ray.remote(
        num_cpus=how.cpus,
        num_gpus=how.gpus,
        max_restarts=-1,
        max_task_retries=RETRIES,
        max_concurrency=AT_ONCE,
    )(_Worker)
    return [worker.remote(how.cpus) for _ in range(how.workers or room)]


def _handed_out(
    ray: Any, workers: list[Any], sent: Any, tasks: Iterator[Task], proven: bool
) -> Iterator[Done]:
    """Each task to whoever has least in hand. No more are read than are in somebody's hands."""
    in_hand: dict[Any, int] = {}
    for task in tasks:
        while in_hand and (not proven or len(in_hand) >= AT_ONCE * len(workers)):
            done = _one_done(ray, in_hand)
            proven |= done.rows > done.failed
            yield done
        busy = [list(in_hand.values()).count(each) for each in range(len(workers))]
        chosen = busy.index(min(busy))
        in_hand[workers[chosen].done.remote([sent], task, proven)] = chosen
    while in_hand:
        yield _one_done(ray, in_hand)


def _one_done(ray: Any, in_hand: dict[Any, int]) -> Done:
    (ready, *_), _ = ray.wait(list(in_hand), num_returns=1)
    del in_hand[ready]
    try:
        return ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ray.exceptions.RaySystemError):
            words = first_line(error.cause).removeprefix("System error: ")
            raise ValueError(
                f"A worker cannot unpack the model or the methods: {words}. Let workers find your own modules: "
                'ray.init(runtime_env={"working_dir": "."}) before the call.'
            ) from None
        raise error.cause from None  # what the method said, without the way that it took
    except ray.exceptions.RayActorError as error:
        raise RuntimeError(
            f"Workers died {RETRIES + 1} times over one shard, most of the time for want of memory: {first_line(error)} Give a smaller "
            "batch_size or shard_rows, or fewer workers. The same call goes on with what is not done."
        ) from None


class _Worker:
    """A process that explains and writes shards."""

    def __init__(self, threads: int) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self._explaining: ExplainingAll | None = None
        self._one_at_a_time = threading.Lock()

    def done(self, sent: list[Any], task: Task, proven: bool) -> Done:
        """Explains a shard and writes it; while it writes, the next one is explained.

        sent: a reference to the plan and the model, in a list: of lists Ray looks nothing up before it is asked to.
        """
        with self._one_at_a_time:
            if self._explaining is None:
                self._plan, make = _ray().get(sent[0])
                self._explaining = self._loaded(make, task)
            found = self._explaining(task.rows, task.targets, proven)
        return self._plan.write(task, found)

    def _loaded(self, make: Callable[[], Model], task: Task) -> ExplainingAll:
        """The methods on the model. Raises ValueError if it is not the one of the run."""
        model = make()
        build(model, first_row(task.rows))
        words = of_weights(self._plan.head["model"]["weights"], as_json(snapshot(model).weights))
        if words:
            raise ValueError(
                f"The model has changed on its way to a worker: {words}. Save it, and give what is loaded from there."
            )
        return self._plan.explaining(model)
