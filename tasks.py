"""The tasks of this repo: dgummy's own collection, and two for its documentation."""

from invoke.collection import Collection

import dgummy.tasks
from scripts.docs import tasks as docs

ns = Collection.from_module(dgummy.tasks)
ns.add_collection(docs.ns)

__all__ = ["ns"]
