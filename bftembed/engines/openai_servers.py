"""Several servers of one model that share the requests of a run."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from bftembed._openai import PATIENCE, why_unusable
from bftembed._optional import require
from bftembed.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence

    from bftembed.engines.values import Completion, Request, Scores

Answer = TypeVar("Answer", bound="Completion | Scores")
log = logging.getLogger("bftembed")
#: Failures in a row after which a server is left out, while others are there.
_STRIKES = 3


@dataclass(eq=False)
class Server:
    """One address: its client, what was found out by asking it, and what it alone is to answer."""

    url: str
    client: Any
    #: What the server was found to be able to, by question.
    known: dict[str, Any] = field(default_factory=dict)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: When a question was last answered by an error, and by which.
    errors: dict[str, tuple[float, Exception]] = field(default_factory=dict)
    failures: int = 0
    left_out: bool = False
    again: deque[_Task[Any]] = field(default_factory=deque)
    workers: list[asyncio.Task[None]] = field(default_factory=list)

    async def learn(self, name: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What `ask` finds out about this server, asked once; an error is one of all that waited for the answer."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self.asking:
            if name not in self.known:
                when, error = self.errors.get(name, (-1.0, None))
                if error is not None and when >= began:  # one after another, they would wait for a server that hangs
                    raise error
                try:
                    self.known[name] = await ask()
                except Exception as failure:
                    self.errors[name] = clock(), failure
                    raise
            return self.known[name]


class Outcome(NamedTuple, Generic[Answer]):
    """An answer, or what says why there is none; `blamed` where the server may be the cause and not the request."""

    answer: Answer
    failed: bool = False
    blamed: bool = False


@dataclass
class _Task(Generic[Answer]):
    request: Request
    tried: set[Server] = field(default_factory=set)
    last: Answer | None = None


async def answering(servers: Sequence[Server], model: str, timeout: float) -> list[Server]:
    """The servers that answer and have the model; those left out are named in warnings.

    Raises
    ------
    ServerError
        If none is left.
    """
    found = await asyncio.gather(*(_models(server, timeout) for server in servers))
    somewhere = any(not isinstance(names, ServerError) and model in names for names in found)
    kept: list[Server] = []
    errors: list[ServerError] = []
    windows: dict[str, int] = {}
    for server, names in zip(servers, found, strict=True):
        if isinstance(names, ServerError):
            errors.append(names)
        elif somewhere and names and model not in names:
            has = ", ".join(names)[:200]
            errors.append(ServerError(f"The server at {server.url} does not serve `{model}`, but {has}."))
        else:
            kept.append(server)
            windows |= {server.url: length} if (length := names.get(model)) else {}
    if not kept:
        raise errors[0] if len(errors) == 1 else ServerError(" ".join(map(str, errors))) from errors[0]
    for error in errors:
        log.warning("Left out: %s", error)
    if len(set(windows.values())) > 1:
        said = ", ".join(f"{length} tokens at {url}" for url, length in windows.items())
        log.warning("The servers take prompts of different lengths: %s.", said)
    return kept


async def _models(server: Server, timeout: float) -> dict[str, int | None] | ServerError:
    """Models that a server lists, with their windows where it tells them; or why it cannot be used."""
    openai = require("openai")
    patience = min(timeout, PATIENCE)
    try:
        # Asked with little patience: a server that is down is known in seconds, not after all retries of a long text.
        retries = min(server.client.max_retries, 1)
        listed = await server.client.with_options(timeout=patience, max_retries=retries).models.list()
        return {str(each.id): getattr(each, "max_model_len", None) for each in listed.data}
    except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:
        # Not every server lists its models; whether it completes prompts shows with the first request.
        return why_unusable(error, server.url, patience) or {}


class Shared(Generic[Answer]):
    """Requests that several servers answer, each as fast as it can.

    Every server has `concurrency` workers, each of which takes the next request when it is free, so that a faster
    server answers more. What fails at one server is asked once at each of the others before it counts as failed. A
    server that fails three times in a row is left out for the rest of the run, unless it is the last one, and what is
    in flight there is asked elsewhere.

    Parameters
    ----------
    servers
        Those that answer.
    ask
        Asks one server; whatever goes wrong there is an `Outcome` too.
    fail
        Makes an answer of a request and the reason why there is none.
    put
        Takes each answer, once.
    concurrency
        Most requests in flight at one server.
    timeout
        Seconds that a request may take at one server, attempts and all, while others are there.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        ask: Callable[[Server, Request], Awaitable[Outcome[Answer]]],
        fail: Callable[[str, str], Answer],
        put: Callable[[Answer], None],
        *,
        concurrency: int,
        timeout: float,
    ) -> None:
        self._servers = list(servers)
        self._ask, self._fail, self._put = ask, fail, put
        self._concurrency, self._timeout = concurrency, timeout
        self._fresh: deque[_Task[Answer]] = deque()
        self._unanswered = 0
        self._changed = asyncio.Event()

    async def run(self, requests: Sequence[Request]) -> None:
        """Have all requests answered."""
        self._fresh.extend(_Task(request) for request in requests)
        self._unanswered = len(requests)
        workers = []
        for server in self._servers:
            server.workers = [
                asyncio.create_task(self._work(server)) for _ in range(min(self._concurrency, len(requests)))
            ]
            workers += server.workers
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, server: Server) -> None:
        task: _Task[Answer] | None = None
        try:
            while task := await self._next(server):
                self._settle(server, task, await self._asked(server, task.request))
                task = None  # settled: a worker that is stopped while it waits holds nothing
        except asyncio.CancelledError:
            if not server.left_out:
                raise
            if task:
                self._elsewhere(task)

    async def _next(self, server: Server) -> _Task[Answer] | None:
        """The next request for a server; None when all are answered, or it is left out."""
        while self._unanswered and not server.left_out:
            if queue := server.again or self._fresh:
                return queue.popleft()
            await self._changed.wait()
        return None

    async def _asked(self, server: Server, request: Request) -> Outcome[Answer]:
        if len(self._servers) == 1:
            return await self._ask(server, request)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ask(server, request)
        except TimeoutError:
            words = f"no answer of {server.url} within {self._timeout:g} s"
            return Outcome(self._fail(request.id, words), failed=True, blamed=True)

    def _settle(self, server: Server, task: _Task[Answer], outcome: Outcome[Answer]) -> None:
        """Keep an answer, or have the request asked elsewhere."""
        if not outcome.failed:
            server.failures = 0
            self._done(outcome.answer)
            return
        server.failures += outcome.blamed
        task.tried.add(server)
        task.last = outcome.answer
        if server.failures >= _STRIKES and len(self._servers) > 1 and not server.left_out:
            self._leave_out(server, outcome.answer)
        self._elsewhere(task)

    def _leave_out(self, server: Server, answer: Answer) -> None:
        log.warning(
            "Left out for the rest of this run, after %d failures in a row: the server at %s, the last with: %s",
            server.failures,
            server.url,
            answer.error,
        )
        server.left_out = True
        self._servers.remove(server)
        for worker in server.workers:
            if worker is not asyncio.current_task():
                worker.cancel()
        for task in server.again:
            self._elsewhere(task)

    def _elsewhere(self, task: _Task[Answer]) -> None:
        """Have a request asked where it was not asked yet; where there is no such server, it has failed."""
        others = [server for server in self._servers if server not in task.tried]
        if others:
            min(others, key=lambda server: len(server.again)).again.append(task)
            self._tell()
        elif task.last is not None:
            self._done(task.last)

    def _done(self, answer: Answer) -> None:
        self._put(answer)
        self._unanswered -= 1
        if not self._unanswered:
            self._tell()

    def _tell(self) -> None:
        """Wake the workers that wait."""
        self._changed.set()
        self._changed = asyncio.Event()


def in_background(work: Callable[[Callable[[Answer], None]], Coroutine[Any, Any, None]]) -> Iterator[Answer]:
    """Give what `work` hands to its argument, while it runs on an event loop in a thread of its own.

    Closing the iterator cancels what is in flight at once, so that Ctrl-C does not wait for a server's time-out.
    """
    answers: SimpleQueue[Answer | None] = SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(work(answers.put))
    task.add_done_callback(lambda _: answers.put(None))
    thread = Thread(target=loop.run_until_complete, args=[asyncio.wait([task])], name="bftembed-openai", daemon=True)
    thread.start()
    try:
        while (done := answers.get()) is not None:
            yield done
        task.result()
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
