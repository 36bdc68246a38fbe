"""`Studio`: what all requests share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import HTTPConnection

from convnet.studio.inspector import Inspectors
from convnet.studio.jobs import JobQueue
from convnet.studio.reviews import Reviews
from convnet.studio.servers import Servers
from convnet.studio.workspace import Workspace


@dataclass
class Studio:
    """The state of the server.

    Attributes:
        workspace: The folders.
        jobs: The training jobs.
        start: What the page opens first: a view and its parameters.
        inspectors: Networks and images that are inspected.
        reviews: Audited data sets.
        servers: Bundles that are served.
    """

    workspace: Workspace
    jobs: JobQueue
    start: dict[str, Any]
    inspectors: Inspectors = field(default_factory=Inspectors)
    reviews: Reviews = field(default_factory=Reviews)
    servers: Servers = field(default_factory=Servers)


def studio_of(connection: HTTPConnection) -> Studio:
    """The state of the server that received a request."""
    found: Studio = connection.app.state.studio
    return found
