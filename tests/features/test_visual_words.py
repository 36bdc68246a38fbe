"""Visual words against their definition, patch by patch (M07)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convnet.errors import ModelError
from convnet.features import FEATURES
from convnet.features.codebook import normalize_patches
from convnet.features.visual_words import VisualWords


def fitted(**options: object) -> tuple[VisualWords, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(30, 3, 12, 11, generator=generator)
    feature = FEATURES.build(
        "visual-words", 3, (12, 11), words=10, patch_size=3, patches=400, **{"seed": 0, **options}
    )
    assert isinstance(feature, VisualWords)
    feature.fit(lambda: [(images[:20], torch.zeros(20)), (images[20:], torch.zeros(10))], None)
    return feature, images


@pytest.mark.parametrize("encoding", ["hard", "triangle"])
@pytest.mark.parametrize(("stride", "grid"), [(1, 1), (1, 2), (2, 2)])
def test_the_definition(encoding: str, stride: int, grid: int) -> None:
    feature, images = fitted(encoding=encoding, stride=stride, grid=grid)
    words, whitening, center = (
        t.double().numpy() for t in (feature.words, feature.whitening, feature.center)
    )
    image = images[3].double().numpy()
    rows, columns = feature.positions
    codes = np.zeros((rows, columns, 10))
    for i in range(rows):
        for j in range(columns):
            patch = image[:, i * stride : i * stride + 3, j * stride : j * stride + 3].ravel()
            patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10 / 255**2)
            distances = np.linalg.norm((patch - center) @ whitening - words, axis=1)
            if encoding == "hard":
                codes[i, j, distances.argmin()] = 1
            else:
                codes[i, j] = np.maximum(0, distances.mean() - distances)
    expected = []
    for top in range(grid):
        for left in range(grid):
            # Cells as adaptive pooling has them: from the floor of their start to the ceiling of their end.
            part = codes[
                top * rows // grid : -(-(top + 1) * rows // grid),
                left * columns // grid : -(-(left + 1) * columns // grid),
            ]
            expected.append(part.mean((0, 1)))
    np.testing.assert_allclose(feature(images[3:4])[0], np.concatenate(expected), rtol=1e-3, atol=1e-4)


def test_a_hard_histogram_sums_to_one() -> None:
    feature, images = fitted(encoding="hard", grid=2)
    torch.testing.assert_close(feature(images).view(30, 4, 10).sum(2), torch.ones(30, 4))


def test_the_codebook_whitens_and_the_same_seed_gives_the_same_words() -> None:
    feature, images = fitted()
    again, _ = fitted()
    torch.testing.assert_close(feature.words, again.words)
    other, _ = fitted(seed=1)
    assert not torch.allclose(feature.words, other.words)
    patches = normalize_patches(images.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 2, 3, 1, 4, 5).flatten(3))
    white = (patches.flatten(0, 2) - feature.center) @ feature.whitening
    covariance = torch.cov(white.t())
    off_diagonal = covariance - torch.diag(covariance.diagonal())
    assert off_diagonal.abs().max() < 0.15 * covariance.diagonal().mean()
    torch.testing.assert_close(
        (feature.codebook().patches() - feature.center) @ feature.whitening,
        feature.words,
        rtol=1e-3,
        atol=1e-3,
    )


def test_more_words_than_patches() -> None:
    feature = FEATURES.build("visual-words", 1, (8, 8), words=400, patch_size=6)
    with pytest.raises(ModelError, match="400 words are too many for 90 patches in 10 images; use fewer"):
        feature.require_samples(10, 2)
    with pytest.raises(ModelError, match="at least 7×7 pixels"):
        FEATURES.build("visual-words", 1, (6, 9), patch_size=6)
    with pytest.raises(ModelError, match="is not fitted; call fit first"):
        feature(torch.rand(1, 1, 8, 8))


def test_as_many_words_as_patches() -> None:
    """However the images are cut into batches, exactly so many patches are taken."""
    images = torch.rand(93, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    feature = FEATURES.build("visual-words", 1, (9, 9), words=100, patches=100, patch_size=4)
    feature.require_samples(93, 0)
    feature.fit(lambda: [(part, torch.zeros(len(part))) for part in images.split(7)], None)
    assert feature.words.shape == (100, 16)
