"""What importing the package costs and offers."""

import subprocess
import sys

import pytest

import clothret.detection


def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import sys, clothret.detection, clothret.detection.plain, clothret.imaging.draw; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    assert clothret.detection.CODE
    for name in set(clothret.detection.__all__) - {"CODE"}:
        assert getattr(clothret.detection, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'detect_everything'"):
        _ = clothret.detection.detect_everything
