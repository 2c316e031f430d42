"""A task for lorentzoo: how often something happens in an event, with Poisson's distribution."""

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components():
    """A task with the data set and the head that belong to it."""
    return [
        Component(
            "task",
            "counting",
            target="lorentzoo_counts.task:Counting",
            summary="Counts of events by Poisson's distribution",
        ),
        Component(
            "dataset",
            "emissions",
            target="lorentzoo_counts.data:emissions",
            summary="Random events with a number of emissions that grows with the logarithm of their mass",
        ),
        Component(
            "head",
            "poisson",
            target="lorentzoo_counts.head:Poisson",
            summary="Expected count of an event, trained by Poisson's likelihood",
        ),
    ]
