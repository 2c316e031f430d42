#!/bin/sh
# What trained the weights of this distribution: every command, in order. About an hour of one processor, and as long for the jets.
# Usage: sh train.sh [FOLDER], with the extras train, simulate, generative and substructure of lorentzoo.
set -e
mkdir -p "${1:-trained}"
cd "${1:-trained}"
export OMP_NUM_THREADS=1

# Data that are made here. Those of tt̄ ship with lorentzoo, points of phase space and showers are made on the spot.
[ -f toptag-30000-31.npz ] || lorentzoo data make toptag --jets 30000 --seed 31
[ -f jets10-30000-11.npz ] || lorentzoo data make jets10 --jets 30000 --seed 11

few_jets="-s learning_rate=2e-3 -s keep=best"
small="num_blocks: 2, num_heads: 8, head_reps: 4x0n+1x1n, mlp_ratio: 2"
recipe="-s optimiser=adamw -s schedule=warmup-cosine -s gradient_clip=1.0"

# A tagger of ten classes to fine-tune from.
lorentzoo train particlenet-observables --dataset jets10:path=jets10-30000-11.npz,scalars=[] \
    $few_jets -s epochs=15 --out particlenet-observables/jets10-v1

# Taggers of top jets: with observables; with all of the Lorentz group; with rotations about the beam alone.
lorentzoo train particlenet-observables --dataset toptag:path=toptag-30000-31.npz \
    $few_jets -s epochs=12 --out particlenet-observables/toptag-v1
lorentzoo train "lloca-transformer-full:backbone={$small},frames={hidden: 32}" \
    --dataset toptag:path=toptag-30000-31.npz,max_constituents=40 \
    $recipe -s batch_size=64 -s learning_rate=1e-3 -s epochs=8 -s keep=best --out lloca-transformer-full/toptag-v1
lorentzoo train "transformer:backbone={$small}" --dataset toptag:path=toptag-30000-31.npz,max_constituents=40 \
    $recipe -s batch_size=64 -s learning_rate=1e-3 -s epochs=8 -s keep=best --out transformer/toptag-v1

# |M|² of q q̄ → Z + 2 and 3 gluons.
lorentzoo train amplitude-recipe --task amplitudes --dataset "amplitudes:process=qq-Zng,multiplicity=[2,3],num_events=100000" \
    -s max_steps=12000 -s cpu_seconds=null --out amplitude-recipe/zgluons-v1

# Densities: events of top pairs, showers in a calorimeter.
lorentzoo train "rqs-flow-eventgen:generator={num_transforms: 5}" --dataset ttbar \
    $recipe -s batch_size=256 -s learning_rate=1e-3 -s ema=0.99 -s max_steps=3000 --test num_samples=5000 --out rqs-flow-eventgen/ttbar-v1
lorentzoo train vit-showers --dataset "showers:detector=lead-argon,num_showers=6000,energy_max=50" \
    $recipe -s batch_size=128 -s learning_rate=1e-3 -s ema=0.99 -s max_steps=1500 --out vit-showers/lead-argon-v1
