# SPDX-License-Identifier: Apache-2.0
"""Axis letters and the named arrays that cross a module's border.

b  examples of a batch        n  records
t  tokens (positions)         d  dimensions of an embedding
s  source (encoder) tokens    r  rows of a sketch (hash functions)
v  vocabulary                 w  buckets of a row
e  width of the network       p  pieces of an answer
"""

import numpy as np
from jaxtyping import Array, Bool, Float, Int

# A matrix of embeddings, on the host or on a device.
Embeddings = Float[Array, "n d"] | Float[np.ndarray, "n d"]
# Token ids, 0 is padding.
Tokens = Int[Array, "b t"] | Int[np.ndarray, "b t"]
TokenMask = Bool[Array, "b t"] | Bool[np.ndarray, "b t"]
TokenLogits = Float[Array, "b t v"]
