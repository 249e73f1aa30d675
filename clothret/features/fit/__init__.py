"""How the learned parts of the descriptors are made: `python -m clothret.features.fit --help`."""
