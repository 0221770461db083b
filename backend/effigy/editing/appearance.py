# SPDX-License-Identifier: Apache-2.0
"""What a latent says of looks: colours of skin, hair and background, and who the person is.

A generator mixes shape and looks: people with high brows may happen to be darker, so raised brows would darken a
face. Edits hold these outputs at the anchor's, softly (``inverse.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .network import Network

COLOUR_TOLERANCE = 4.0  # of 255: what weighs as much as one standard deviation of latent distance
IDENTITY_TOLERANCE = 0.15  # of an embedding's length
PULL = 1.25  # times the inverse's own: what is held makes sliders leap a little more, and this as much less


class Appearance(nn.Module):
    """Heads on whitened latents v [N, V]. Their outputs mean nothing but by how much they change.

    ``colours`` [3 P, V]: the change of sRGB (0 … 255) at each of ``patches``, one after the other, by a unit of v,
    beyond what the pose explains, times how firmly the patch is held. ``identity``: v → the main components of the
    embedding that an identity network makes of the picture, or None where there is no such network.
    """

    colours: Tensor

    def __init__(self, patches: Sequence[str], colours: Tensor, identity: Network | None) -> None:
        super().__init__()
        self.patches = tuple(patches)
        self.register_buffer("colours", colours)
        self.identity = identity

    @property
    def held(self) -> Tensor:
        """[3 P, V]: ``colours`` in units of their tolerance."""
        return self.colours / COLOUR_TOLERANCE

    def person(self, v: Tensor) -> Tensor:
        """The identity head [N, I] in units of its tolerance; I is 0 without one."""
        if self.identity is None:
            return v[:, :0]
        output: Tensor = self.identity(v)
        return output / IDENTITY_TOLERANCE

    def person_jacobian(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """``person`` and its derivative [N, I, V]."""
        if self.identity is None:
            return v[:, :0], v.new_zeros(len(v), 0, v.shape[1])
        output, J = self.identity.jacobian(v)
        return output / IDENTITY_TOLERANCE, J / IDENTITY_TOLERANCE
