# SPDX-License-Identifier: Apache-2.0
"""The provenance in pictures of real people: that they are synthetic, what made them, and from which picture."""

from __future__ import annotations

import json

from effigy_protocol.version import VERSION

from ..faces import Identity

# IPTC Digital Source Type: a composite of a captured picture and what a trained model made.
_SOURCE_TYPE = "compositeWithTrainedAlgorithmicMedia"


def provenance_texts(who: Identity) -> dict[str, str]:
    """Returns the PNG text entries for pictures of ``who``; none unless they were made from a picture."""
    if who.person is None:
        return {}
    metadata = {
        key: who.person.metadata[key] for key in ("source", "provenance", "mixed") if key in who.person.metadata
    }
    return {
        "Software": f"Effigy {VERSION}",
        "DigitalSourceType": _SOURCE_TYPE,
        "Effigy person": json.dumps(metadata, sort_keys=True),
    }
