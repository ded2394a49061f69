"""`treadle ui`: a page for each model, served on this machine."""

import threading
import webbrowser
from contextlib import ExitStack, suppress

import click

from treadle.cli.cluster import CONNECTION, connected

IN_USE = 2
CHILDREN = ("jobs", "pods", "workloads", "services", "events")


@click.command()
@click.option("--port", default=0, show_default="a free one", type=click.IntRange(0, 65535), help="Port on 127.0.0.1.")
@click.option("--open", "is_opened", is_flag=True, help="Open it in the browser.")
@CONNECTION
def ui(*, port: int, is_opened: bool, context: str, namespace: str) -> None:
    """Serve a page for each model, until Ctrl-C.

    How it stands and why, its lineage, drift, versions, card, and the line for everything one may want to do. The
    pages only read, with your own rights, and answer only on this machine to the address that is printed.

    Needs the rights to list the four kinds; to list pods and get pods/proxy for requests, errors and times; to get
    the Secret of the store, and to reach that store, for the bars of drift and the card. What is missing is said.
    """
    from treadle.cli.estate import read
    from treadle.cli.ui.serve import Pages, serving

    with connected(context, namespace) as cluster, ExitStack() as stack:
        # What cannot be reached at all is told here, and not by a page.
        read(cluster, cluster.namespace, without=CHILDREN)

        def pages() -> Pages:
            from treadle.cli.ui.site import Site

            return Site(cluster, context)

        try:
            address = stack.enter_context(serving(pages, port))
        except OSError as error:
            click.echo(f"port {port} of 127.0.0.1: {error.strerror or error}; choose another by --port", err=True)
            raise SystemExit(IN_USE) from error
        click.echo(address)
        click.echo(f"Models of namespace {cluster.namespace} at {cluster.way.server}; Ctrl-C ends it", err=True)
        if is_opened and not webbrowser.open(address):
            click.echo("no browser could be started; open the address yourself", err=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
