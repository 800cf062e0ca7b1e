"""``cloudcart proxy``: the fault proxy alone, in front of anything that speaks TCP.

Not here: the proxy (``cloudcart.chaos.links``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from cloudcart.exceptions import LabError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from cloudcart.chaos.links.address import Address


@click.command()
@click.option("--listen", metavar="ADDRESS", help="Where to accept callers: host:port or a Unix socket's path.")
@click.option("--to", "upstream", metavar="ADDRESS", help="Where to lead them.")
@click.option("--control", default="127.0.0.1:8474", show_default=True, help="Where Toxiproxy's HTTP API is served.")
@click.option("--name", default="link", show_default=True, help="What the API calls this link.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Chooses which connections are hit."
)
def proxy(listen: str | None, upstream: str | None, control: str, name: str, seed: int) -> None:
    """Run the fault proxy alone, until Ctrl-C.

    It is controlled by Toxiproxy's HTTP API, so clients written for Toxiproxy work with it. Without --listen and --to
    it begins with no link; such clients make theirs.

    \b
    cloudcart proxy --listen 127.0.0.1:15432 --to 127.0.0.1:5432
    curl -d '{"type": "latency", "attributes": {"latency": 100}}' http://127.0.0.1:8474/proxies/link/toxics
    """
    import asyncio

    from cloudcart.chaos.links.address import Address

    if (listen is None) != (upstream is None):
        raise click.UsageError("give both --listen and --to, or neither")
    link = (
        None if upstream is None else {"name": name, "listen": str(Address.parse(listen or "")), "upstream": upstream}
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner, suppress(KeyboardInterrupt):
        runner.run(_run(Address.parse(control), link, seed))


async def _run(control: Address, link: dict[str, str] | None, seed: int) -> None:
    import asyncio

    from cloudcart.chaos.links.address import Address
    from cloudcart.chaos.links.control_server import serve_control
    from cloudcart.chaos.links.toxiproxy import ToxiproxyApi
    from cloudcart.exceptions import RefusedError

    api = ToxiproxyApi(seed=seed)
    try:
        server = await serve_control(api.answer, control.host, control.port)
        at = Address(*server.sockets[0].getsockname()[:2])
        click.echo(f"control API of Toxiproxy on http://{at}", err=True)
        if link is not None:
            made = await api.create(link)
            click.echo(f"{made.name}: {made.listen} -> {made.upstream}", err=True)
        async with server:
            await asyncio.Event().wait()
    except RefusedError as error:
        raise LabError(error.error) from None
    except OSError as error:
        raise LabError(f"{control} cannot be listened on ({error.strerror}); choose another with --control") from None
    finally:
        api.close()


def _loop_factory() -> Callable[[], AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None  # asyncio's own: a third slower
    import uvloop

    factory: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return factory
