# SPDX-License-Identifier: Apache-2.0
"""Reads looks from a latent: colours of skin, hair and background, and who the person is.

A generator entangles shape and looks: if people with high brows happen to be darker, raising the brows darkens a face.
So edits pay for changing what is read here (``inverse``).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .network import Network

# Changes that cost as much as one standard deviation of latent distance:
COLOUR_TOLERANCE = 4.0  # of 255
IDENTITY_TOLERANCE = 0.15  # of an embedding's length
# The factor of the inverse's ``pull`` beside looks. Keeping them makes sliders leap a little more; a stronger pull
# makes up for that.
PULL = 1.25


class Appearance(nn.Module):
    """Two heads on whitened latents v [N, V]: colours and identity. Only differences of their outputs have a meaning.

    ``colours`` [3 P, V] is linear: the change of sRGB (0 … 255) at each of the P ``patches``, beyond what pose
    explains, for one unit of v, times the patch's weight ``held``. ``identity`` is a network from v to the principal
    components of the embedding that a recognition network gives of the picture; None where no recognition network was
    at hand.
    """

    colours: Tensor

    def __init__(self, patches: Sequence[str], colours: Tensor, identity: Network | None) -> None:
        super().__init__()
        self.patches = tuple(patches)
        self.register_buffer("colours", colours)
        self.identity = identity

    @property
    def held(self) -> Tensor:
        """``colours`` in units of COLOUR_TOLERANCE, [3 P, V]."""
        return self.colours / COLOUR_TOLERANCE

    def person(self, v: Tensor) -> Tensor:
        """Returns what the identity head reads, in units of IDENTITY_TOLERANCE, [N, I]; I is 0 without one."""
        if self.identity is None:
            return v[:, :0]
        output: Tensor = self.identity(v)
        return output / IDENTITY_TOLERANCE

    def person_jacobian(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Returns ``person(v)`` [N, I] and its derivative [N, I, V]."""
        if self.identity is None:
            return v[:, :0], v.new_zeros(len(v), 0, v.shape[1])
        output, J = self.identity.jacobian(v)
        return output / IDENTITY_TOLERANCE, J / IDENTITY_TOLERANCE
