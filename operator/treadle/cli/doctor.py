"""`treadle doctor`: what is in order around the four kinds, and what is not."""

import json

import click

from treadle.cli.cluster import CONNECTION, connected

COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red"}


@click.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
@CONNECTION
def doctor(*, output: str, context: str, namespace: str) -> None:
    """Check cluster, rights, store and room.

    What a namespace needs for the four kinds to work.

    Each line begins with ok, warn or FAIL and says what mends it; warn is also what you may not see. The store is
    probed as by `treadle store probe`: a few objects are written below probe/, and removed.

    \b
    Exit codes:  0  nothing FAILs
                 1  something does

    With -o json: {namespace, server, ok, findings[]}, each finding with check, result, text and mend.
    """
    from treadle.cli.checkup.checks import findings
    from treadle.cli.checkup.finding import Result
    from treadle.cli.checkup.look import look

    with connected(context, namespace) as cluster:
        facts = look(cluster)
    found = findings(facts)
    is_well = all(each.result is not Result.FAIL for each in found)
    if output == "json":
        rows = [{"check": e.check, "result": e.result, "text": e.text, "mend": e.mend} for e in found]
        told = {"namespace": facts.namespace, "server": facts.server, "ok": is_well, "findings": rows}
        click.echo(json.dumps(told, sort_keys=True, indent=2, ensure_ascii=False))
    else:
        for each in found:
            click.echo(f"{click.style(f'{each.result:<5}', fg=COLOURS[each.result])}{each.check:<16}{each.text}")
            if each.mend:
                click.echo(f"{'':<21}{each.mend}")
    click.get_current_context().exit(0 if is_well else 1)
