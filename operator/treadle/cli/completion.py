"""Completion in a shell: the scripts, kubectl's way of asking, and names of objects from the cluster."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

PROGRAM = "treadle"
VARIABLE = "_TREADLE_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
WITHIN_SECONDS = 2.0
"""Whoever presses Tab types on after that."""
SHOWN = 200

# cobra's ShellCompDirective: the words that kubectl takes from the last line.
DEFAULT, NO_FILES, ONLY_DIRECTORIES = 0, 4, 16

SPELLINGS = {"mdep": "ModelDeployment", "tj": "TrainingJob", "dsrc": "DataSource", "mon": "Monitor"}
"""By the short name of each kind, which is what an object is offered by."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    Commands and options, and names of objects from the cluster. For `kubectl treadle` nothing is to be done: kubectl
    finds the program kubectl_complete-treadle, which comes with the wheel.

    \b
    Examples:
      source <(treadle completion bash)     # in ~/.bashrc
      source <(treadle completion zsh)      # in ~/.zshrc
      treadle completion fish > ~/.config/fish/completions/treadle.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, PROGRAM, VARIABLE).source())


def for_kubectl(group: click.Command, words: Sequence[str]) -> str:
    """Return what kubectl wants to know of `kubectl treadle WORDS<Tab>`: a line for each word, then what else may be.

    words: at least one, the last of which is being typed.
    """
    *before, incomplete = words or [""]
    items = ShellComplete(group, {}, f"kubectl {PROGRAM}", VARIABLE).get_completions(before, incomplete)
    kinds = {item.type for item in items}
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in items if item.type == "plain"]
    directive = DEFAULT if "file" in kinds else ONLY_DIRECTORIES if "dir" in kinds else NO_FILES
    return "\n".join([*lines, f":{directive}", ""])


# What is offered.


class Offered(click.ParamType[str]):
    """A text for which words are offered while it is typed."""

    name = "text"

    def __init__(self, words: Callable[[str, str], Iterable[str]]) -> None:
        """Offer what `words` returns for a context and a namespace."""
        self._words = words

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Return the words that begin as what was typed."""
        context, namespace = (str(ctx.params.get(name) or "") for name in ("context", "namespace"))
        found = soon(lambda: self._words(context, namespace))
        return [CompletionItem(word) for word in sorted(found) if word.startswith(incomplete)][:SHOWN]


def soon(words: Callable[[], Iterable[str]]) -> list[str]:
    """Return what a function finds within two seconds; nothing where it fails or takes longer."""
    found: list[str] = []

    def find() -> None:
        # Whatever is wrong, a word on the terminal would spoil the line that is being typed.
        with suppress(Exception):
            found.extend(words())

    thread = threading.Thread(target=find, daemon=True)
    thread.start()
    thread.join(WITHIN_SECONDS)
    return list(found) if not thread.is_alive() else []


def deployments(context: str, namespace: str) -> list[str]:
    """Return the names of the ModelDeployments."""
    return [name for _, name in named(context, namespace, ("mdep",))]


def objects(context: str, namespace: str) -> list[str]:
    """Return every object of the four kinds as KIND/NAME."""
    return [f"{kind}/{name}" for kind, name in named(context, namespace, SPELLINGS)]


def models(context: str, namespace: str) -> list[str]:
    """Return the names of the ModelDeployments, and every object as KIND/NAME."""
    every = list(named(context, namespace, SPELLINGS))
    return [name for kind, name in every if kind == "mdep"] + [f"{kind}/{name}" for kind, name in every]


def named(context: str, namespace: str, spellings: Iterable[str]) -> list[tuple[str, str]]:
    """Return spelling and name of each object of these kinds."""
    from treadle.cli.cluster import connected, ours

    with connected(context, namespace) as cluster:
        return [
            (spelling, each["metadata"]["name"])
            for spelling in spellings
            for each in cluster.items(ours(SPELLINGS[spelling], cluster.namespace))
        ]


def namespaces(context: str, namespace: str) -> list[str]:
    """Return the names of the namespaces."""
    from treadle.cli.cluster import connected

    with connected(context, namespace) as cluster:
        return [each["metadata"]["name"] for each in cluster.items("/api/v1/namespaces")]


def contexts(context: str, namespace: str) -> list[str]:
    """Return the contexts of the kubeconfig."""
    from treadle.cli.cluster import kubeconfigs

    documents = kubeconfigs(os.environ.get("KUBECONFIG", ""))
    return [each["name"] for document in documents for each in document.get("contexts") or []]


OFFERS: Mapping[str, Callable[[str, str], Iterable[str]]] = {
    "deployment": deployments,
    **dict.fromkeys(("model", "what", "word", "left", "right"), models),
    "object_": objects,
    "namespace": namespaces,
    "context": contexts,
}
"""What is offered for a parameter, by its name; a test knows those for which nothing is."""
PATHS = frozenset({"paths"})
"""Parameters that take - too, and so are texts."""


def offering(command: click.Command) -> click.Command:
    """Return a command, its parameters ready to offer names."""
    for parameter in command.params:
        if not isinstance(parameter.type, click.types.StringParamType):
            continue
        if parameter.name in OFFERS:
            parameter.type = Offered(OFFERS[parameter.name])
        elif parameter.name in PATHS:
            parameter.type = click.Path()
    return command
