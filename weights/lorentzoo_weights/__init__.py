"""Trained weights of lorentzoo. Each folder is what `lorentzoo.save` writes: specification, weights, details, card."""

from pathlib import Path

from lorentzoo import Weights, hookimpl

_SUMMARIES = {
    ("amplitude-recipe", "zgluons-v1"): "|M|² of q q̄ → Z + 2 and 3 gluons at tree level",
    ("lloca-transformer-full", "toptag-v1"): "Top jets against QCD jets, with all of the Lorentz group",
    ("particlenet-observables", "jets10-v1"): "Ten classes of jets, to fine-tune from",
    ("particlenet-observables", "toptag-v1"): "Top jets against QCD jets, the best of these taggers",
    ("rqs-flow-eventgen", "ttbar-v1"): "Density of six-jet events of top pairs",
    ("transformer", "toptag-v1"): "Top jets against QCD jets, with rotations about the beam alone",
    ("vit-showers", "lead-argon-v1"): "Electromagnetic showers in lead and liquid argon",
}


@hookimpl
def lorentzoo_weights() -> list[Weights]:
    """What `lorentzoo.list_pretrained` lists of this distribution."""
    here = Path(__file__).parent
    return [Weights(model, tag, here / model / tag, summary) for (model, tag), summary in _SUMMARIES.items()]
