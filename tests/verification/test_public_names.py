"""One way to measure a symmetry, by whichever door one comes."""

from __future__ import annotations

import lorentzoo
import lorentzoo.testing
import lorentzoo.verification
import lorentzoo.verification.verify


def test_every_door_leads_to_the_same_function() -> None:
    from lorentzoo.verification.verify import verify

    assert callable(verify)
    assert lorentzoo.verify is verify
    assert lorentzoo.testing.verify is verify
    # The module of the same name does not hide it.
    assert lorentzoo.verification.verify is verify
    assert lorentzoo.testing.Verification is lorentzoo.verification.Verification
