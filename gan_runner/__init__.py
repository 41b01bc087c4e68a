"""Train, resume, sample and sweep generative adversarial networks from one Hydra command."""

__version__ = "0.1.0"
