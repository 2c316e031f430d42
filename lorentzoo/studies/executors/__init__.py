"""Where are the runs of a study executed? Executors by name, one module each."""

from lorentzoo import Component, hookimpl

_HERE = "lorentzoo.studies.executors"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The executors that come with the package."""
    return [
        Component(
            "executor",
            "local",
            f"{_HERE}.local:Local",
            "Processes on this machine, each with its own threads",
        ),
        Component(
            "executor",
            "files",
            f"{_HERE}.files:Files",
            "Nothing is executed: files for HTCondor, Slurm and Snakemake are written, which do it",
        ),
        Component(
            "executor",
            "slurm",
            f"{_HERE}.slurm:Slurm",
            "Jobs of Slurm, submitted and watched from here",
            extra="lorentzoo[scale]",
        ),
        Component(
            "executor",
            "ray",
            f"{_HERE}.ray_tasks:RayTasks",
            "Tasks of a Ray cluster, an existing one or one on this machine",
            extra="lorentzoo[scale]",
        ),
        Component(
            "executor",
            "dask",
            f"{_HERE}.dask_tasks:DaskTasks",
            "Tasks of a Dask cluster, an existing one or one on this machine",
            extra="lorentzoo[scale]",
        ),
    ]
