"""Data sets: the plugin that offers them. Samples, simulation and batching are in the modules below."""

from __future__ import annotations

from lorentzoo import Component, hookimpl


@hookimpl
def lorentzoo_components() -> list[Component]:
    """The data sets that come with the package."""
    return [
        Component(
            "dataset",
            "toptag",
            target="lorentzoo.data.named:toptag",
            summary="Hadronic top jets against QCD jets, Pythia 8 at particle level; 10,000 jets shipped",
            reference="arXiv:1902.09914",
        ),
        Component(
            "dataset",
            "jets10",
            target="lorentzoo.data.named:jets10",
            summary="Ten classes of jets (QCD, H, Z, W, top), Pythia 8 at particle level; 2,000 jets shipped",
            reference="classes after arXiv:2202.03772",
        ),
        Component(
            "dataset",
            "ttbar",
            target="lorentzoo.data.named:ttbar",
            summary="Fully hadronic tt̄ events, six jets matched to six quarks, Pythia 8; 25,000 events shipped",
            reference="cuts of arXiv:2411.00446",
        ),
        Component(
            "dataset",
            "showers",
            target="lorentzoo.data.showers.dataset:showers",
            summary="Parametrised showers of electrons and pions in calorimeters of any cells, or files of showers",
            reference="hep-ex/0001020",
            extra="lorentzoo[simulate]",
        ),
        *(
            Component(
                "dataset",
                name,
                target=f"lorentzoo.data.readers.named:{target}",
                summary=summary,
                reference=paper,
            )
            for name, target, summary, paper in (
                (
                    "toptag-hdf5",
                    "toptag_hdf5",
                    "Top-tagging reference data set, HDF5 as distributed",
                    "arXiv:1902.09914",
                ),
                ("jetclass-root", "jetclass_root", "JetClass, ROOT files as distributed", "arXiv:2202.03772"),
                (
                    "jetclass-parquet",
                    "jetclass_parquet",
                    "Parquet files with JetClass's columns",
                    "arXiv:2202.03772",
                ),
                (
                    "jetnet-hdf5",
                    "jetnet_hdf5",
                    "JetNet, HDF5 of relative coordinates, one file a class",
                    "arXiv:2106.11535",
                ),
                ("padded-npz", "padded_npz", "Padded momenta and labels in .npz files", ""),
                (
                    "root",
                    "root",
                    "ROOT files with columns of any names, labels by column, condition or file",
                    "",
                ),
                ("parquet", "parquet", "Parquet files with columns of any names", ""),
                ("hdf5", "hdf5", "HDF5 files with data sets of any names, padded or compound", ""),
            )
        ),
        *(
            Component(
                "dataset",
                name,
                target=f"lorentzoo.data.readers.experiments:{name.replace('-', '_')}",
                summary=summary,
                reference=paper,
                extra="lorentzoo[readers]",
            )
            for name, summary, paper in (
                ("delphes-root", "Jets of Delphes with their constituents", "arXiv:1307.6346"),
                (
                    "nanoaod",
                    "Jets of CMS NanoAOD with particle candidates, classes by generator particles or flavour",
                    "",
                ),
                ("physlite", "Large-radius jets of ATLAS PHYSLITE with their constituents", ""),
                (
                    "jets-parquet",
                    "Parquet files of jets in nested columns: a jet a row, or jets in events",
                    "",
                ),
                ("lhe", "Events of generators, Les Houches files, with their weights", "hep-ph/0609017"),
            )
        ),
    ]
