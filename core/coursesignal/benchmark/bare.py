"""The yardstick: a Litestar handler that parses the same body and does nothing."""

from __future__ import annotations

import sys

import uvicorn
from litestar import Litestar, post
from litestar.params import JSONBody

from coursesignal.tracking.schemas import CollectIn, CollectOut

PATH = "/bare"


@post(PATH, status_code=202)
async def take(data: JSONBody[CollectIn]) -> CollectOut:
    return CollectOut(len(data.events or ()))


def main(port: int) -> None:
    """Serve it as our own web process is served."""
    app = Litestar([take], openapi_config=None)
    uvicorn.run(app, port=port, log_level="warning", access_log=False, server_header=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
