"""Where attention goes in a network: sites, placing, assembly, and the convolutions backbones are written with."""
