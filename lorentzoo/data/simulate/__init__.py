"""Simulated samples: Pythia 8 generates events, FastJet clusters them (extra ``lorentzoo[simulate]``).

`engine` talks to the two programs; every sample is one recipe in a module of its own (`toptag`), listed in
`RECIPES`; `chunks` runs a recipe on several processes and can be interrupted at any time. Nothing here
imports torch, and Pythia and FastJet are imported only when a sample is generated.
"""

from lorentzoo.data.simulate.recipe import RECIPES, Recipe, make_recipe

__all__ = ["RECIPES", "Recipe", "make_recipe"]
