"""Networks of each kind that are trained, adapted and rounded quickly."""

SMALL = {
    "lgatr": "lgatr:num_blocks=2,hidden_channels=8,hidden_scalars=16,num_heads=2",
    "lgatr-full": "lgatr:num_blocks=2,hidden_channels=8,hidden_scalars=16,num_heads=2,group=full",
    "lgatr-slim": "lgatr-slim:num_blocks=2,hidden_vectors=8,hidden_scalars=16,num_heads=2",
    "lorentznet": "lorentznet:num_blocks=2,hidden_channels=16",
    "cgenn": "cgenn:num_blocks=2,hidden_channels=8,hidden_scalars=16",
    "pelican": "pelican:num_blocks=2,hidden_channels=16",
    "transformer": "transformer:num_blocks=2,num_heads=2",
}
