"""Batches: order from (seed, epoch, step), groups by aspect, images without garments."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clothret.detection.augment import AugmentConfig
from clothret.detection.loader import Batch, Order, StepDataset, batches, canvas_of
from clothret.errors import ImageError
from clothret.types import Annotations

MOVED = AugmentConfig(rotation=10, scale=(0.8, 1.2), brightness=0.2, copy_paste=0.5)


def dataset(notes: Annotations, **changes: object) -> StepDataset:
    batch = int(changes.pop("batch", 4))  # type: ignore[call-overload]
    values: dict[str, object] = {
        "rank": 0, "world": 1, "sizes": (64, 64), "augment": MOVED, "scheme": "df2",
        "semantic": True, "first": 0, "last": 6, "paste_until": 6,
    }  # fmt: skip
    return StepDataset(notes, Order(notes, batch, seed=7), **(values | changes))


def same(one: Batch, two: Batch) -> bool:
    return (
        one.step == two.step
        and torch.equal(one.images, two.images)
        and one.image_ids == two.image_ids
        and all(
            torch.equal(a[name], b[name])
            for a, b in zip(one.targets, two.targets, strict=True)
            for name in a
        )
    )


@pytest.fixture
def notes(tmp_path: Path, make_drawn: Callable[..., Annotations]) -> Annotations:
    return make_drawn(tmp_path, 10, empty=2)


def test_every_image_is_seen_in_every_epoch(notes: Annotations) -> None:
    order = Order(notes, 4, seed=0)
    assert order.steps_per_epoch == 3
    for epoch in range(3):
        assert set(order.epoch(epoch).ravel()) == set(range(10))
    assert order.epoch(0).tolist() != order.epoch(1).tolist()
    assert order.rows(4).tolist() == order.epoch(1)[1].tolist()
    assert Order(notes, 4, seed=1).epoch(0).tolist() != order.epoch(0).tolist()


def test_batches_do_not_mix_tall_and_wide(notes: Annotations) -> None:
    wide = np.array([0, 1] * 5, bool)
    mixed = replace(notes, width=np.where(wide, 90, 48).astype(np.int32))
    for rows in Order(mixed, 4, seed=0).epoch(0):
        assert len(set(wide[rows])) == 1


def test_canvases_follow_torchvisions_rule_in_whole_strides() -> None:
    assert canvas_of(2 / 3, 192, 192) == (192, 128)
    assert canvas_of(2 / 3, 288, 288) == (288, 192)
    assert canvas_of(1.0, 320, 320) == (320, 320)
    assert canvas_of(4 / 3, 800, 1333) == (800, 1088)
    assert canvas_of(1 / 2, 800, 1333) == (1344, 672)


@pytest.mark.filterwarnings("ignore:.*max number of worker")  # on a machine of one core
def test_a_step_is_the_same_wherever_it_is_made(notes: Annotations) -> None:
    """After a restart at step 4, in another process, or as one of two ranks."""
    whole = dataset(notes)
    later = dataset(notes, first=4)
    assert same(whole[4], later[0])
    made_ahead = list(batches(whole, workers=2))
    assert all(same(batch, whole[number]) for number, batch in enumerate(made_ahead))
    halves = [dataset(notes, rank=rank, world=2)[4] for rank in range(2)]
    assert torch.equal(torch.cat([half.images for half in halves]), whole[4].images)


def test_images_without_garments_give_empty_targets(notes: Annotations) -> None:
    calm = dataset(notes, augment=AugmentConfig())
    empty = 0
    for number in range(3):
        batch = calm[number]
        for target, image_id in zip(batch.targets, batch.image_ids, strict=True):
            count = len(target["labels"])
            assert target["boxes"].shape == (count, 4)
            assert target["masks"].shape == (count, 64, 64)
            if image_id > 8:
                assert count == 0
                empty += 1
    assert empty >= 2


def test_binary_labels_and_semantic_categories(notes: Annotations) -> None:
    batch = dataset(notes, scheme="binary", augment=AugmentConfig())[0]
    for target in batch.targets:
        assert set(target["labels"].tolist()) <= {1}
        covered = target["masks"].any(dim=0) if len(target["masks"]) else torch.zeros(64, 64) > 1
        assert torch.equal(target["semantic"] > 0, covered)
        assert set(target["semantic"].unique().tolist()) <= {0, 1, 8}


def test_pasting_ends_where_it_should(notes: Annotations) -> None:
    always = replace(MOVED, copy_paste=1.0)
    most = [
        max(
            len(target["labels"])
            for target in dataset(notes, augment=always, paste_until=3)[n].targets
        )
        for n in range(6)
    ]
    assert max(most[:3]) == 2
    assert max(most[3:]) == 1


def test_an_image_of_another_size_is_refused(notes: Annotations) -> None:
    wrong = replace(notes, width=np.full(10, 96, np.int32))
    with pytest.raises(ImageError, match=r"annotated as 96×64 px, found 48×64"):
        dataset(wrong)[0]
