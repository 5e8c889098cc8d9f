"""The tasks of this repo: dgummy's own collection, and nothing else."""

from dgummy.tasks import ns

__all__ = ["ns"]
