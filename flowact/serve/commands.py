"""`flowact serve` and `flowact doctor`."""

from __future__ import annotations

import logging
import os
import socket
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flowact.core.clock import SHIFT_S
from flowact.core.errors import ConfigError
from flowact.serve.app import create_app
from flowact.serve.config import IceServer, ServeConfig
from flowact.serve.doctor import examine
from flowact.serve.security import choose_token, is_loopback
from flowact.serve.server import DrainingServer
from flowact.serve.talk import equip
from flowact.stream.avatar import Avatar
from flowact.stream.engine import Capacity, Engine, leave_cores_to_engine

if TYPE_CHECKING:
    from flowact.serve.talk import Equipment

_MARKS = {True: ("ok  ", "green"), False: ("todo", "yellow")}


def serve(
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 for all.", envvar="FLOWACT_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port.", min=1, max=65535, envvar="FLOWACT_PORT")] = 8000,
    model: Annotated[Path | None, typer.Option(help="Folder of a model; the one that ships if left out.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the best there is if left out.")] = None,
    token: Annotated[
        str | None, typer.Option(help="Secret that clients need; made up beyond loopback.", envvar="FLOWACT_TOKEN")
    ] = None,
    ice_server: Annotated[
        list[str] | None,
        typer.Option(help="stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD; repeatable.", envvar="FLOWACT_ICE_SERVERS"),
    ] = None,
    max_sessions: Annotated[
        int | None, typer.Option(help="Sessions at once; as many as the machine keeps up with if left out.", min=1)
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    runtime: Annotated[
        Literal["auto", "torch", "openvino"],
        typer.Option(help="What computes; auto is the fastest here.", envvar="FLOWACT_RUNTIME"),
    ] = "auto",
) -> None:
    """Start the server whose page shows a living person."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("aiortc", "aioice", "httpx", "c2pa"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    config = ServeConfig(
        host=host,
        port=port,
        token=choose_token(host, token),
        ice_servers=tuple(IceServer.parse(text) for text in ice_server or ()),
        max_sessions=max_sessions,
    )
    _check_port(host, port)
    equipment = equip(os.environ)
    typer.echo("loading the model and measuring this machine ...")
    threads = leave_cores_to_engine()
    avatar = Avatar.from_pretrained(model, device, runtime)
    engine = Engine(avatar, threads=threads)
    engine.start()
    try:
        server = DrainingServer(create_app(engine, avatar, config, equipment), config)
        url = _url(config)
        _introduce(url, config, engine.capacity(), equipment)
        if open_page:
            webbrowser.open(url)
        server.run()
    finally:
        engine.stop()


def doctor(
    model: Annotated[Path | None, typer.Option(help="Folder of a model; the one that ships if left out.")] = None,
    port: Annotated[int, typer.Option(help="Port that the server would take.", min=1, max=65535)] = 8000,
) -> None:
    """Say what this machine can do and what is missing. Exits with 1 if nobody can live here."""
    can_live = True
    for finding in examine(model, port, os.environ):
        mark, colour = _MARKS[finding.is_well]
        typer.secho(f"{mark} ", fg=colour, nl=False)
        typer.echo(f"{finding.what:<10} {finding.found}" + (f"\n{'':16}-> {finding.todo}" if finding.todo else ""))
        can_live = can_live and (finding.is_well or not finding.is_vital)
    raise typer.Exit(0 if can_live else 1)


def _introduce(url: str, config: ServeConfig, capacity: Capacity, equipment: Equipment) -> None:
    rtf = capacity.chunk_s / SHIFT_S
    typer.echo(f"a chunk of {SHIFT_S:.2f} s takes {capacity.chunk_s:.3f} s: real-time factor {rtf:.2f}")
    if rtf > 1:
        typer.secho("this machine is too slow for one person in real time; expect pauses", fg="yellow")
    fits = capacity.slots if config.max_sessions is None else min(capacity.slots, config.max_sessions)
    typer.echo(f"sessions at once: {fits}")
    for line in equipment.missing:
        typer.secho(f"note: {line}", fg="yellow")
    typer.secho(f"\n  {url}\n", fg="green", bold=True)
    if not is_loopback(config.host):
        typer.echo("The address holds the secret token: pass it on to those who may come in, and use TLS in front.")
    typer.echo("Ctrl-C ends the server.")


def _url(config: ServeConfig) -> str:
    """Address of the page; the token is in the fragment, which browsers do not send or log."""
    host = socket.gethostname() if config.host in ("0.0.0.0", "::") else config.host
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{config.port}/" + (f"#token={config.token}" if config.token else "")


def _check_port(host: str, port: int) -> None:
    """Find out before the slow loading whether the port can be had.

    Raises:
        ConfigError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --port") from error
