"""`minigrad cache`: the folder of compiled kernels."""

import shutil

import click

from minigrad_cli.output import echo


@click.group()
def cache() -> None:
    """The folder of compiled kernels.

    \b
    minigrad cache path
    minigrad cache clear
    """


@cache.command(short_help="Delete all compiled kernels.")
def clear() -> None:
    """Delete all compiled kernels; they are made again when needed.

    \b
    minigrad cache clear
    """
    from minigrad.files import cache_folder

    folder = cache_folder() / "kernels"
    files = [file for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    size = sum(file.stat().st_size for file in files)
    if files:
        shutil.rmtree(folder)
    echo(f"{len(files)} files, {size / 1e6:.1f} MB, deleted from {folder}")


@cache.command()
def path() -> None:
    """Print where it is.

    \b
    du -sh "$(minigrad cache path)"
    """
    from minigrad.files import cache_folder

    echo(cache_folder() / "kernels", as_it_is=True)
