"""``lorentzoo study``: run, show, work, collect and cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import typer

from lorentzoo.cli.output import print_json
from lorentzoo.cli.plots import TEXT, read_report_texts, write_plots

__all__ = ["study_app"]

PLOTS: Final[Path | None] = typer.Option(
    None, help="Write every figure of the report into this folder: PDF, PNG, and CSV with its numbers."
)

study_app = typer.Typer(
    help="Ablation studies: a grid of names in, a table and a report out.", no_args_is_help=True
)


@study_app.command("run")
def run(
    file: Path = typer.Argument(..., help="YAML file of the study.", exists=True, dir_okay=False),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Directory of the study; resumed if it exists."
    ),
    dataset: str | None = typer.Option(
        None, "--dataset", "-d", help="Data set instead of that of the file, e.g. toptag:max_constituents=30."
    ),
    workers: int | None = typer.Option(
        None, "--workers", "-w", help="Runs at a time; as many as cores by default."
    ),
    executor: str | None = typer.Option(
        None,
        "--executor",
        "-e",
        help="Where runs are executed: local, files (for HTCondor, Slurm, Snakemake), slurm, ray, dask, e.g. "
        "slurm:partition=gpu.",
    ),
    retries: int = typer.Option(2, "--retries", min=0, help="How often a run that was lost is tried again."),
    plots: Path | None = PLOTS,
    text: list[str] = TEXT,
    as_json: bool = typer.Option(False, "--json", help="Print the table as JSON."),
) -> None:
    """Run a study; one that was interrupted goes on where it stopped.

    Example: lorentzoo study run examples/studies/quickstart.yaml --out runs/quickstart
    """
    from lorentzoo.studies import load_study, run_study

    texts = read_report_texts(text)
    study = load_study(file)
    if dataset is not None:
        study = load_study({**study.model_dump(mode="json"), "dataset": dataset})
    study = study.model_copy(update={"report": texts.over(study.report)})
    result = run_study(study, out=out, workers=workers, executor=executor, retries=retries)
    _write_plots(result, plots, texts)
    _print(result, as_json)


@study_app.command("show")
def show(
    directory: Path = typer.Argument(..., help="Directory of a study.", exists=True, file_okay=False),
    live: bool = typer.Option(False, "--live", help="Keep looking until all runs are over, or Ctrl-C."),
    plots: Path | None = PLOTS,
    text: list[str] = TEXT,
    as_json: bool = typer.Option(False, "--json", help="Print the table as JSON."),
) -> None:
    """Print a study's table, with what its runs are doing and where, and write its report anew.

    Example: lorentzoo study show runs/quickstart

    Example: lorentzoo study show runs/quickstart --plots figures --text 'roc.title=Top tagging'
    """
    from dataclasses import replace

    from lorentzoo.studies import show_study, write_report
    from lorentzoo.studies.watch import watch_study

    if live:
        watch_study(directory)
    texts = read_report_texts(text)
    result = show_study(directory)
    study = result.study.model_copy(update={"report": texts.over(result.study.report)})
    result = replace(result, study=study)
    _write_plots(result, plots, texts)
    write_report(result)
    _print(result, as_json)


@study_app.command("work")
def work(
    directory: Path = typer.Argument(..., help="Directory of a study, or one with the file of its run."),
    only: str = typer.Option(..., "--only", help="Hash of the run, as in batch/runs.txt."),
) -> None:
    """Execute one run of a study, as jobs of batch systems do.

    Exit code 0: finished. 75: to be started again (evicted, or it waits for another run). 1: failed.

    Example: lorentzoo study work runs/quickstart --only 0123456789abcdef
    """
    from lorentzoo.studies import work as work_on
    from lorentzoo.studies.executors.files import AGAIN

    outcome, why = work_on(directory, only)
    typer.echo(f"run {only}: {outcome}" + (f", {why}" if why else ""), err=bool(why))
    raise typer.Exit({"finished": 0, "cancelled": 0, "again": AGAIN, "failed": 1}[outcome])


@study_app.command("collect")
def collect(
    directory: Path = typer.Argument(..., help="Directory of a study.", exists=True, file_okay=False),
    sources: list[Path] = typer.Argument(
        None, help="Directories of runs that came back, or directories that hold some."
    ),
) -> None:
    """Take runs that were executed elsewhere into their study.

    Example: lorentzoo study collect runs/quickstart returned/
    """
    from lorentzoo.studies import collect_runs

    found = collect_runs(directory, sources or ())
    for path, reason in found.refused.items():
        typer.echo(f"{path}: {reason}", err=True)
    typer.echo(f"{len(found.taken)} runs taken, {len(found.known)} were there")


@study_app.command("cancel")
def cancel(
    directory: Path = typer.Argument(..., help="Directory of a study.", exists=True, file_okay=False),
) -> None:
    """Ask all who work on a study to stop, wherever they are; running it again goes on.

    Example: lorentzoo study cancel runs/quickstart
    """
    from lorentzoo.studies import cancel_study

    cancel_study(directory)
    typer.echo("runs stop within seconds, those that wait are not started; run the study again to go on")


def _write_plots(result: Any, folder: Path | None, texts: Any) -> None:
    """Figures as files, if they are wanted; names of texts that are of nothing are refused."""
    if folder is None and not (texts.figures or texts.tables):
        return
    from lorentzoo.studies.report.figures import study_figures
    from lorentzoo.studies.report.tables import study_tables

    figures = study_figures(result).all
    texts.check_names([figure.name for figure in figures], list(study_tables(result)))
    if folder is not None:
        write_plots(figures, folder)


def _print(result: Any, as_json: bool) -> None:
    from lorentzoo.studies.report.numbers import study_data
    from lorentzoo.studies.report.write import study_text

    if as_json:
        print_json(study_data(result))
    else:
        typer.echo(study_text(result))
