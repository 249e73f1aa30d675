"""The power spectrum of thread, bin by bin."""

import numpy as np
import pytest

from clothret.features.cloth import PATCH
from clothret.features.spectrum import BINS, LENGTH, SECTORS, spectrum

ROWS, COLUMNS = np.mgrid[:PATCH, :PATCH]


def wave(period: float, degrees: float) -> np.ndarray:
    """A sine whose crests lie `period` pixels apart, counted along `degrees` from the columns."""
    along = np.cos(np.deg2rad(degrees)) * COLUMNS + np.sin(np.deg2rad(degrees)) * ROWS
    return np.sin(2 * np.pi * along / period).astype(np.float32)


@pytest.mark.parametrize(
    ("period", "degrees", "ring", "sector"),
    [(4, 0, 3, 0), (4, 90, 3, 4), (8, 45, 1, 2), (8, 135, 1, 6), (12, 0, 0, 0), (2.5, 90, 5, 4)],
)
def test_a_wave_fills_the_bin_of_its_length_and_direction(period, degrees, ring, sector):
    described = spectrum(wave(period, degrees))
    assert described.shape == (LENGTH,)
    mean, peak, rings = np.split(described, (BINS, 2 * BINS))
    assert mean.reshape(-1, SECTORS)[ring].argmax() == sector
    assert peak.reshape(-1, SECTORS)[ring].argmax() == sector
    assert rings.argmax() == ring


def test_noise_is_alike_in_all_directions():
    noise = np.random.default_rng(0).normal(size=(PATCH, PATCH)).astype(np.float32)
    mean = spectrum(noise)[:BINS].reshape(-1, SECTORS)
    assert np.abs(mean[2:]).max() < 0.5


def test_faint_thread_under_noise_has_a_peak_all_the_same():
    noise = np.random.default_rng(0).normal(size=(PATCH, PATCH)).astype(np.float32)
    peak = spectrum(noise)[BINS : 2 * BINS]
    with_thread = spectrum(noise + np.float32(0.3) * wave(4, 0))[BINS : 2 * BINS]
    assert with_thread[3 * SECTORS] > peak.max() + 1


def test_strength_and_place_do_not_matter():
    thread = wave(5, 30)
    np.testing.assert_allclose(spectrum(3 * thread), spectrum(thread), atol=0.05)
    shifted = spectrum(np.roll(thread, (20, 30), (0, 1)))
    np.testing.assert_allclose(shifted[:BINS], spectrum(thread)[:BINS], atol=0.6)


def test_even_cloth_has_a_flat_spectrum():
    described = spectrum(np.zeros((PATCH, PATCH), np.float32))
    np.testing.assert_allclose(described[: 2 * BINS], 0, atol=1e-4)
