"""Reference vectors and maps that break the Lorentz symmetry on purpose."""

from lorentzoo import Component, hookimpl

_MODULE = "lorentzoo.plugins.spurions.reference"


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The spurions by name."""
    return [
        Component("spurions", "none", f"{_MODULE}:nothing", "No spurion: the full Lorentz group stays"),
        Component("spurions", "time", f"{_MODULE}:time", "(1,0,0,0): leaves SO(3)", "arXiv:2405.14806"),
        Component(
            "spurions", "beam", f"{_MODULE}:beam", "Space-like (0,0,0,1): leaves SO⁺(1,2)", "arXiv:2405.14806"
        ),
        Component(
            "spurions",
            "beam-lightlike",
            f"{_MODULE}:beam_lightlike",
            "Both light-like beams (1,0,0,±1): leave SO(2)_beam, since a z-boost rescales them",
            "arXiv:2508.14898",
        ),
        Component(
            "spurions",
            "beam-timelike",
            f"{_MODULE}:beam_timelike",
            "Both time-like beams (√2,0,0,±1): leave SO(2)_beam",
            "arXiv:2411.00446",
        ),
        Component(
            "spurions",
            "beam-plane",
            f"{_MODULE}:beam_plane",
            "Order 2: each momentum's longitudinal and transverse part",
        ),
        Component(
            "spurions", "all", f"{_MODULE}:everything", "Time and three light-like axes: nothing is left"
        ),
        Component("spurions", "vectors", f"{_MODULE}:given_vectors", "Any given four-vectors"),
        Component(
            "spurions", "matrices", f"{_MODULE}:given_matrices", "Any given linear maps of four-vectors"
        ),
    ]
