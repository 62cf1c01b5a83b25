"""``bftembed study``."""

from __future__ import annotations

from typing import Annotated

import typer


def study(
    name: Annotated[str, typer.Argument(help="objectives, window, grpo or subliminal.")],
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a configuration that comes with bftembed.")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="Directory of the results.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show runs, tokens and hours, and end.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the configuration, to be kept and changed.")] = False,
) -> None:
    """Compare ways of tuning a model; run again to go on after an interruption, or on another GPU to share the work."""
    from bftembed.studies import check_study, open_study
    from bftembed.studies.run import plan_study, run_study

    if show:
        from bftembed.tune.config import find_config

        check_study(name)
        print(find_config(config, f"studies/{name}").read_text(encoding="utf-8"), end="")
        return
    made = open_study(name, config, output=output)
    if dry_run:
        print(plan_study(made))
        return
    page = run_study(made)
    verdict = page.with_suffix(".md").read_text(encoding="utf-8").split("\n\n")[1]
    print(verdict.strip("*"))
    print(f"The report: {page}")
