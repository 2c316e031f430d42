"""By which names are files of experiments and generators opened?

Each function is a data set of the registry: ``lz.load_dataset("nanoaod", path="ttbar.root")``. Its parameters are the
fields of a value type, what all files have in common and what the format adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from lorentzoo.data.readers.columns import ColumnNames, as_names
from lorentzoo.data.readers.delphes import DelphesChoice, DelphesJets, DelphesTruth
from lorentzoo.data.readers.jetclass import Particles
from lorentzoo.data.readers.jets import JetChoice, JetFile, JetSource
from lorentzoo.data.readers.lhe import LheChoice, LheEventSource, WhichParticles
from lorentzoo.data.readers.nanoaod import NanoAODChoice, NanoAODJets, NanoTruth, Puppi
from lorentzoo.data.readers.nested import NestedChoice, NestedJets
from lorentzoo.data.readers.opening import opens
from lorentzoo.data.readers.options import LabelledFiles, Names
from lorentzoo.data.readers.physlite import PhysliteChoice, PhysliteJets

__all__ = [
    "DelphesFiles",
    "JetsParquetFiles",
    "LheFiles",
    "NanoAODFiles",
    "PhysliteFiles",
    "delphes_root",
    "jets_parquet",
    "lhe",
    "nanoaod",
    "physlite",
]


@dataclass(frozen=True)
class _JetFiles(LabelledFiles):
    """Files of events with jets: a jet is an event of the data set, its constituents are the particles.

    Parameters
    ----------
    select
        Condition on the jets that are read, on columns with one number a jet or an event, ``"pt > 400 and abs(eta) <
        2"``. Columns of the jets are named without what stands before all of them; ``name[0]`` is the first of a list
        an event.
    """

    select: str | None = None

    def _jets_of(self, file: JetFile, truth: bool = False) -> JetSource:
        return JetSource(file, self.columns, JetChoice(self.select, self.rule, truth, self.on_bad == "skip"))


@dataclass(frozen=True)
class DelphesFiles(_JetFiles):
    """Delphes: jets with their constituents, energy-flow tracks, photons and neutral hadrons, or generator particles.

    Momenta in GeV, impact parameters in mm. Without `label`, `classes`, `class_files` or `target`, classes are what
    `truth` says.

    Parameters
    ----------
    jets
        Collection of jets, ``"ParticleFlowJet08"``; an error lists those of the file.
    features
        Scalars of each constituent, as of ``jetclass-root``: ``"fourmomenta"`` (none), ``"pid"``, ``"displacements"``, or
        ``"default"``, what the file has of both.
    truth
        ``"generator"``: qcd, top, W, Z, H by the partons of decays (branch ``Particle``) within `radius`; jets that
        hold a part of a decay are left out. ``"flavour"``: light, c, b, gluon by ``Flavor`` of the jet. ``"none"``:
        one class. ``"auto"``: generator where ``Particle`` is there, else none.
    radius
        Largest ΔR of a jet to partons; by default that of the jets' name, else 0.4.
    tree
        Name of the tree.
    """

    jets: str | None = None
    features: Particles = "default"
    truth: DelphesTruth = "auto"
    radius: float | None = None
    tree: str = "Delphes"

    suffixes: ClassVar[tuple[str, ...]] = (".root",)

    def source(self, path: Path) -> JetSource:
        """One of the files."""
        needs_truth = not self.rule.ways and not self.target
        choice = DelphesChoice(
            self.jets, self.features, self.truth if needs_truth else "none", self.radius, self.tree
        )
        file = DelphesJets(path, choice)
        return self._jets_of(file, bool(file.truth_names))


@dataclass(frozen=True)
class NanoAODFiles(_JetFiles):
    """NanoAOD of CMS with particle candidates (``FatJetPFCands``, ``PFCands``), in a TTree or an RNTuple.

    Momenta in GeV, impact parameters in mm (files have cm). Without `label`, `classes`, `class_files` or `target`,
    classes are what `truth` says.

    Parameters
    ----------
    jets
        Jets, ``"FatJet"`` (by default, where they have candidates) or ``"Jet"``; an error lists those with candidates.
    candidates
        Table with the candidates of each jet, ``"FatJetPFCands"``; by default found by the name of the jets.
    features
        Scalars of each candidate, as of ``jetclass-root``: ``"fourmomenta"`` (none), ``"pid"``, ``"displacements"``, or
        ``"default"``, what the file has of both.
    scalars
        Further columns of candidates, ``"puppiWeight"``.
    puppi
        Whether momenta are multiplied by ``puppiWeight``, and candidates of weight zero left out: ``"yes"``, ``"no"``, or
        ``"auto"``, as the jets' raw transverse momenta are met better.
    truth
        ``"generator"``: qcd, top, W, Z, H by the partons of decays (``GenPart``) within `radius`; jets that hold a
        part of a decay are left out. ``"hadron-flavour"``: light, c, b. ``"parton-flavour"``: light, c, b, gluon.
        ``"none"``: one class. ``"auto"``: generator for jets of radius 0.8, hadron flavour for others, none for data.
        `class_names` chooses some of these classes.
    radius
        Largest ΔR of a jet to partons; 0.8 for FatJet and AK8, else 0.4.
    tree
        Name of the tree.
    """

    jets: str | None = None
    candidates: str | None = None
    features: Particles = "default"
    scalars: Names = ()
    puppi: Puppi = "auto"
    truth: NanoTruth = "auto"
    radius: float | None = None
    tree: str = "Events"

    suffixes: ClassVar[tuple[str, ...]] = (".root",)

    def source(self, path: Path) -> JetSource:
        """One of the files."""
        needs_truth = not self.rule.ways and not self.target
        choice = NanoAODChoice(
            self.jets,
            self.candidates,
            self.features,
            as_names(self.scalars),
            self.puppi,
            self.truth if needs_truth else "none",
            self.radius,
            self.tree,
        )
        file = NanoAODJets(path, choice)
        return self._jets_of(file, bool(file.truth_names))


@dataclass(frozen=True)
class PhysliteFiles(_JetFiles):
    """PHYSLITE of ATLAS: large-radius jets with the constituents that their element links name.

    Files are in MeV, momenta are given in GeV; columns that are named (`select`, `target`) are as in the file. Without
    `label`, `classes`, `class_files` or `target` all jets are of one class.

    Parameters
    ----------
    jets
        Jets, ``"AnalysisLargeRJets"``; an error lists those of the file. ``"any"`` takes the first whose links can be
        followed.
    links
        Links of each jet to its constituents, ``"constituentLinks"``, or ``"GhostTrack"``. PHYSLITE as ATLAS
        distributes it leaves out the objects that ``constituentLinks`` name, and has tracks that ``GhostTrack`` of
        ``AnalysisJets`` names.
    features
        Scalars of each constituent: ``"fourmomenta"`` (none), ``"pid"``, ``"displacements"``, or ``"default"``, what
        the file has.
    tree
        Name of the tree.
    """

    jets: str = "AnalysisLargeRJets"
    links: str = "constituentLinks"
    features: Particles = "default"
    tree: str = "CollectionTree"

    suffixes: ClassVar[tuple[str, ...]] = (".root",)

    def source(self, path: Path) -> JetSource:
        """One of the files."""
        return self._jets_of(
            PhysliteJets(path, PhysliteChoice(self.jets, self.links, self.features, self.tree))
        )


@dataclass(frozen=True)
class JetsParquetFiles(_JetFiles):
    """Parquet files whose rows are events with lists of jets with lists of constituents, or jets with constituents.

    Columns in structures are named with points, in lists as well: ``jet.constituents.pt``. Without `label`, `classes`,
    `class_files` or `target` all jets are of one class.

    Parameters
    ----------
    constituents
        Structure of the constituents, ``"jet.constituents"``; by default the one that is deepest in lists.
    momentum
        Column of each component of their momenta, ``{"pt": "jet.constituents.pt", ...}``; by default found by their
        names in that structure.
    scalars
        Columns of further numbers of the constituents, by name; or a list of columns.
    """

    constituents: str | None = None
    momentum: Mapping[str, str] | None = None
    scalars: Mapping[str, str] | Sequence[str] = ()

    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def source(self, path: Path) -> JetSource:
        """One of the files."""
        given = self.scalars
        scalars = given if isinstance(given, Mapping) else {name: name for name in as_names(given)}
        return self._jets_of(NestedJets(path, NestedChoice(self.constituents, self.momentum, scalars)))


@dataclass(frozen=True)
class LheFiles(LabelledFiles):
    """Les Houches event files (hep-ph/0609017) of any generator, packed by gzip or not, read with pylhe.

    Columns for `target`, `weight`, `context`, `classes` and `label` are ``weight``, ``process``, ``scale``,
    ``alpha_qed``, ``alpha_s``, ``incoming_1``, ``incoming_2`` (PDG numbers), ``num_outgoing``, ``channel`` (text,
    ``"21 21 > 21 21"``), and the file's further weights by ``id`` or by what the head says of them. Without `label`,
    `classes`, `class_files` or `target` the class is the process.

    Parameters
    ----------
    particles
        ``"final"``: outgoing ones; ``"hard"``: with incoming ones; ``"all"``: with resonances that have decayed, too.
    scalars
        Numbers of each particle: ``pdg``, ``role`` (-1 incoming, 1 outgoing, 2 resonance), ``is_antiparticle``,
        ``is_quark``, ``is_gluon``, ``is_charged_lepton``, ``is_neutrino``, ``is_photon``, ``is_boson``, ``colour``,
        ``anticolour``, ``mother``, ``spin``.
    """

    weight: str | int | None = "weight"  # type: ignore[assignment]  # an ``id`` may look like a number
    particles: WhichParticles = "final"
    scalars: Names = ("pdg", "role")

    suffixes: ClassVar[tuple[str, ...]] = (".lhe", ".lhe.gz")

    @property
    def columns(self) -> ColumnNames:
        """Which columns are target, weight, context and number of the events."""
        return replace(super().columns, weight=None if self.weight is None else str(self.weight))

    def source(self, path: Path) -> LheEventSource:
        """One of the files."""
        choice = LheChoice(self.particles, as_names(self.scalars), self.rule)
        return LheEventSource(path, self.columns, choice)


delphes_root = opens(DelphesFiles)
nanoaod = opens(NanoAODFiles)
physlite = opens(PhysliteFiles)
jets_parquet = opens(JetsParquetFiles)
lhe = opens(LheFiles)
