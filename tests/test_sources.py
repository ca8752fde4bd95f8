"""What an older version made is told by a digest of the code that makes it."""

from __future__ import annotations

import pytest

from core import sources
from core.compress.pruning import study_file
from core.runs import builds


def test_every_part_that_is_named_is_there():
    assert builds.code_digest() == sources.digest(*builds.MAKERS)
    assert sources.digest(*study_file.MAKERS) != sources.digest("analysis")


def test_a_part_that_is_not_there_is_no_reason_to_keep_what_is_old():
    with pytest.raises(ValueError, match="no folder"):
        sources.digest("analysis", "no_such_part")
