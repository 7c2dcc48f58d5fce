"""`minigrad info`: what a bug report needs."""

import os
import platform
from importlib.metadata import version

import click

from minigrad_cli.output import echo, echo_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def info(as_json: bool) -> None:
    """Versions, threads, cache and devices.

    \b
    minigrad info
    minigrad info --json
    """
    from minigrad import __version__, device, threads
    from minigrad.files import cache_folder

    folder = cache_folder()
    devices, gpu = device.report()
    files = [f for f in folder.rglob("*") if f.is_file()] if folder.is_dir() else []
    found = {
        "minigrad": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "click", "rich", "safetensors")},
        "platform": " ".join(
            filter(None, (platform.system(), platform.release(), platform.machine(), *platform.libc_ver()))
        ),
        "cores": os.cpu_count(),
        "threads": threads.count(),
        "BLAS threads": os.environ["OPENBLAS_NUM_THREADS"],
        "devices": ", ".join(devices),
        "cuda": gpu,
        "kernel cache": str(folder),
        "cached files": len(files),
        "cached bytes": sum(f.stat().st_size for f in files),
    }
    if as_json:
        echo_json({key.replace(" ", "_").lower(): value for key, value in found.items()})
        return
    width = max(map(len, found))
    for key, value in found.items():
        echo(f"{key.ljust(width)}  {value}")
