"""`surgecast demo`: the whole product on one machine, with simulated traffic through real sockets."""

import signal
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from storage.seam import StoreError
from surgecast.commands.output import stderr
from surgecast.demo_sink import MessageSink
from surgecast.demo_story import Story
from surgecast.errors import CommandError
from surgecast.logs import configure_logs
from surgecast.processes import Supervisor, stop_on_signals

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_Answer = TypeVar("_Answer")
_READY_SECONDS = 120.0
_LOOK_FOR_ANSWER_SECONDS = 0.2
_LOOK_SECONDS = 3.0
"""How often the store is looked at for what happened."""


def demo(
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End by itself after this long; exit code 0.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the live page.")] = 8050,
    calls: Annotated[int, typer.Option(min=1, max=20_000, help="Concurrent calls to simulate, on average.")] = 500,
    rtp_calls: Annotated[
        int, typer.Option(min=0, max=100, help="How many of them, at a time, really send RTP over loopback.")
    ] = 20,
    seed: Annotated[int, typer.Option(help="The same seed makes the same network and traffic.")] = 1,
    weeks: Annotated[
        int,
        typer.Option(
            min=0, max=12, help="Weeks of simulated history to write first; under three, alerts still learn."
        ),
    ] = 6,
    data: Annotated[
        Path | None, typer.Option(help="Keep the data here; default: a folder that goes with the demo.")
    ] = None,
) -> None:
    """Show Surgecast at work: a simulated voice network sends real HEP over loopback to the real collector.

    Nothing leaves this machine. Example: surgecast demo --seconds 60 --calls 200
    """
    configure_logs()
    stop = threading.Event()
    stop_on_signals(stop)
    with _folder(data) as folder, held_port(port) as web_port, held_port(0) as metrics_port:
        _run(
            folder,
            stop,
            seconds=seconds,
            web_port=web_port,
            metrics_port=metrics_port,
            calls=calls,
            rtp_calls=rtp_calls,
            seed=seed,
            weeks=weeks,
        )


def _run(
    folder: Path,
    stop: threading.Event,
    *,
    seconds: float | None,
    web_port: int,
    metrics_port: int,
    calls: int,
    rtp_calls: int,
    seed: int,
    weeks: int,
) -> None:
    _say("loading kernels")
    began = time.monotonic()
    # Kernels compile when they are imported, so not before it is announced.
    from collectors.capture.tpacket import may_capture
    from collectors.kernels.ready import prepare
    from surgecast import demonstration
    from surgecast.simulator.beginning import Beginning
    from surgecast.simulator.warm import start_after

    prepare(_say)
    _say(f"kernels ready after {time.monotonic() - began:.1f} s")
    sink = MessageSink(folder / "messages.jsonl", lambda title: _say(f"alert sent: {title}"))
    hep_port = _free_udp_port()
    settings = demonstration.demo_settings(
        folder,
        calls=calls,
        seed=seed,
        now_ns=time.time_ns(),
        sink_port=sink.port,
        hep_port=hep_port,
        web_port=web_port,
        metrics_port=metrics_port,
        capture=rtp_calls > 0 and may_capture(),
    )
    if settings.collect.interfaces:
        _say(f"up to {rtp_calls} calls at a time send RTP over loopback, where it is captured")
    elif rtp_calls:
        _say("no RTP is captured: this process lacks CAP_NET_RAW, and the demo goes without")
        rtp_calls = 0
    collect, *others = demonstration.product_roles(settings)
    beginning = Beginning()
    network = demonstration.simulator_role(
        calls=calls, rtp_calls=rtp_calls, seed=seed, hep_port=hep_port, beginning=beginning
    )
    # Both come up before history is written, so that live traffic follows it at once.
    supervisor = Supervisor([collect, network])
    _say(f"starting the collector (HEP on udp://127.0.0.1:{hep_port})")
    supervisor.start()
    try:
        url = f"http://127.0.0.1:{settings.web.port}"
        metrics_url = f"http://127.0.0.1:{settings.metrics.port}"
        _wait_until_ready(f"{metrics_url}/healthz", supervisor, stop)
        history_end_ns = 0
        if weeks:
            _say(f"writing {weeks} weeks of simulated history")
            began = time.monotonic()
            written = _in_a_process(partial(demonstration.write_history, settings, weeks, calls, seed), stop)
            if written is None:
                return
            rows, history_end_ns = written
            _say(f"history written: {rows:,} rows in {time.monotonic() - began:.1f} s")
        story_ns = max(time.time_ns(), start_after(history_end_ns))
        campaign_ns = demonstration.announce_campaign(settings, story_ns)
        _say(f"starting a simulated network of {calls} concurrent calls, the other roles and the pages")
        beginning.tell(story_ns, history_end_ns)
        for role in others:
            supervisor.add(role)
        _wait_until_ready(f"{url}/healthz", supervisor, stop)
        _say(f"metrics: {metrics_url}/metrics")
        _say(f"live page: {url}   (simulated traffic; Ctrl-C ends it)")
        _say(f"as another role: {url}/sign-in   (one click, no password)")
        _say(f"alerts are sent to {sink.path} and shown at http://127.0.0.1:{sink.port}/")
        at = time.strftime("%H:%M:%S UTC", time.gmtime(campaign_ns / 1e9))
        _say(f"slots are minutes here, and pods take one: trunk {demonstration.TRUNK} just failed, and at {at} a")
        _say("campaign begins. What the product makes of it:")
        with demonstration.told_story(settings, story_ns, _say) as story:
            _watch(supervisor, stop, seconds, story)
    finally:
        _say("stopping")
        supervisor.stop()
        sink.close()
        _say("stopped")


def _in_a_process(work: Callable[[], _Answer], stop: threading.Event) -> _Answer | None:
    """Return what work answers, None where it was stopped; what it took goes back to the system with its end."""
    context = get_context("spawn")
    answer, given = context.Pipe(duplex=False)
    process = context.Process(target=_give, args=(work, given), name="surgecast-history")
    # Ctrl-C goes to everybody here, and has to be told to whom this is: it is ended below.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    given.close()
    try:
        while not answer.poll(_LOOK_FOR_ANSWER_SECONDS):
            if stop.is_set():
                return None
        found: _Answer = answer.recv()
    except EOFError:
        raise CommandError("history could not be written: see the message above") from None
    finally:
        process.terminate()
        process.join()
    return found


def _give(work: Callable[[], object], to: "Connection") -> None:
    to.send(work())
    to.close()


def _watch(supervisor: Supervisor, stop: threading.Event, seconds: float | None, story: Story) -> None:
    deadline = time.monotonic() + seconds if seconds is not None else None
    next_look = 0.0
    while not stop.wait(0.5):
        supervisor.watch()
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _LOOK_SECONDS
            with suppress(StoreError):  # told at the next look
                story.turn(time.time_ns())
        if (failed := supervisor.failed()) is not None:
            raise CommandError(f"the {failed} process of the demo failed: see its message above")
        if deadline is not None and time.monotonic() >= deadline:
            return


def _wait_until_ready(url: str, supervisor: Supervisor, stop: threading.Event) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not stop.wait(0.2):
        if (failed := supervisor.failed()) is not None:
            raise CommandError(f"the {failed} process of the demo failed to start: see its message above")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (our own http address)
                if answer.status == 200:
                    return
        except OSError:
            if time.monotonic() > deadline:
                raise CommandError(f"the pages did not come up within {_READY_SECONDS:.0f} s") from None


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="surgecast-demo-") as folder:
        yield Path(folder)


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def held_port(port: int) -> Iterator[int]:
    """Keep a TCP port from being given to anybody else until its role listens; 0 picks a free one.

    Bound and not listening, it can be listened at by whoever names it and sets SO_REUSEADDR, as servers do, but
    is picked for nobody. Raises CommandError where it is taken.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"port {port} on 127.0.0.1: {error.strerror}; choose another with --port"
            ) from error
        yield int(holder.getsockname()[1])


def _say(text: str) -> None:
    stderr.print(f"[demo] {text}", markup=False)
