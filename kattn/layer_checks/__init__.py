"""Whether a layer does what every layer of a network must: `kattn.layers.check`, which these modules make."""
