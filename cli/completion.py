"""`minigrad completion`: the lines that teach a shell our commands, options and installed names."""

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Lines for bash, zsh or fish that complete commands and names.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what SHELL has to read so that the tab key completes commands, options, models and tasks.

    \b
    minigrad completion bash >> ~/.bashrc
    minigrad completion zsh >> ~/.zshrc
    minigrad completion fish > ~/.config/fish/completions/minigrad.fish
    """
    from minigrad_cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "minigrad", "_MINIGRAD_COMPLETE").source())
