# SPDX-License-Identifier: Apache-2.0
"""What pictures of real people say of themselves: that they are made, by what, and from which picture."""

from __future__ import annotations

import json

from effigy_protocol.version import VERSION

from ..faces import Identity

# Read by whoever looks for it (IPTC, Digital Source Type): made by a model from a picture of a real person.
_SOURCE_TYPE = "compositeWithTrainedAlgorithmicMedia"


def told(who: Identity) -> dict[str, str]:
    """A PNG's texts for pictures of ``who``; none for somebody who was not made from a picture."""
    if who.person is None:
        return {}
    story = {key: who.person.story[key] for key in ("source", "provenance", "mixed") if key in who.person.story}
    return {
        "Software": f"Effigy {VERSION}",
        "DigitalSourceType": _SOURCE_TYPE,
        "Effigy person": json.dumps(story, sort_keys=True),
    }
