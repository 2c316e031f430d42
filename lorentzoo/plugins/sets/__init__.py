"""Networks without attention or edges: deep sets and the multilayer perceptron."""

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The backbones and small models by name."""
    return [
        Component(
            "backbone",
            "deep-sets",
            "lorentzoo.plugins.sets.deep_sets:DeepSets",
            "One network on each particle",
            "arXiv:1810.05165",
            published_flops="lorentzoo.plugins.sets.flops:count_deep_sets",
        ),
        Component(
            "backbone",
            "mlp",
            "lorentzoo.plugins.sets.mlp:MLP",
            "Perceptron on a fixed number of particles",
            published_flops="lorentzoo.plugins.sets.flops:count_mlp",
        ),
        Component(
            "backbone",
            "mlp-particles",
            "lorentzoo.plugins.sets.particle_mlp:ParticleMLP",
            "Perceptron from all particles of an event of fixed length to each of them",
            "arXiv:2508.14898",
        ),
        Component(
            "model",
            "deep-sets",
            summary="Deep sets on seven kinematic features, summed over particles",
            reference="arXiv:1810.05165",
            spec={
                "backbone": {"name": "deep-sets", "hidden": [128, 128, 128]},
                "embedding": "kinematics",
                "head": {"name": "classify", "num_classes": 1, "pooling": "sum", "hidden": [128, 128, 128]},
            },
        ),
        Component(
            "model",
            "mlp",
            summary="Perceptron on the kinematic features of the first 40 particles",
            spec={
                "backbone": {"name": "mlp", "num_particles": 40},
                "embedding": "kinematics",
                "head": {"name": "classify", "num_classes": 1},
            },
        ),
    ]
