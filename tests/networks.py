"""Networks so small that they are built, trained and asked within a second."""

from clothret.detection.model import ModelConfig

SMALL = ModelConfig(
    backbone="narrow",
    widths=(16, 16, 32, 32),
    weights_backbone="none",
    fpn_channels=16,
    fpn_levels=(3, 5),
    rpn_first_level=3,
    min_size=96,
    max_size=128,
    anchor_sizes=(24, 48, 96, 128),
    box_head=32,
    mask_channels=(16,),
)
"""Random weights, to be asked."""

LEARNER = ModelConfig(
    backbone="narrow",
    widths=(8, 8, 16, 16),
    weights_backbone="none",
    trainable_layers=5,
    fpn_channels=16,
    fpn_levels=(3, 5),
    rpn_first_level=3,
    min_size=64,
    max_size=64,
    anchor_sizes=(16, 32, 48, 64),
    anchor_ratios=(1.0, 2.0),
    rpn_samples=32,
    proposals_train=50,
    proposals_test=30,
    box_samples=16,
    box_head=32,
    mask_channels=(16,),
)
"""To be trained."""
