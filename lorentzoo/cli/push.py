"""``lorentzoo push``."""

from __future__ import annotations

import typer

__all__ = ["push_command"]


def push_command(
    model: str = typer.Argument(..., help="Directory of a run, or of a saved model."),
    address: str = typer.Argument(
        ..., help="hf://owner/name, with /folder where a repository holds several models."
    ),
    public: bool = typer.Option(
        False, "--public", help="Whether a repository that is made for it is for all to see."
    ),
    revision: str | None = typer.Option(None, help="Branch, made if needed; the main one by default."),
    message: str = typer.Option("", "--message", "-m", help="Of the commit."),
) -> None:
    """Send a model with its card to the Hugging Face Hub, and print the address that loads it.

    Log in by `hf auth login`, or set HF_TOKEN. Needs lorentzoo[hub].

    Example: lorentzoo push runs/a hf://owner/top-tagger --public
    """
    from lorentzoo.registry.publishing import push

    typer.echo(push(model, address, private=not public, revision=revision, message=message))
