"""The tasks of this repo: dgummy's own collection, and what its developers need besides."""

import sys

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

import dgummy.tasks
from scripts.docs import tasks as docs

__all__ = ["ns"]


@task(name="ask")
def bench_ask(c: Context) -> None:
    """How many plain sentences does `inv ask` read as they should be?"""
    c.run(f"{sys.executable} benchmarks/ask.py -v", in_stream=False)


ns = Collection.from_module(dgummy.tasks)
ns.add_collection(Collection("bench", bench_ask))
ns.add_collection(docs.ns)
