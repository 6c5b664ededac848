"""A server by the Python SDK with one tool: one SQL statement on a pool of connections, and nothing else."""

import os
import socket
import sys

import asyncpg
import uvicorn
from mcp.server.mcpserver import MCPServer

SQL = open(os.path.join(os.path.dirname(__file__), "../../sql/queries/tenants/status.sql")).read()
POOL = {}


async def pool():
    if "pool" not in POOL:
        POOL["pool"] = await asyncpg.create_pool(min_size=8, max_size=8)
    return POOL["pool"]


server = MCPServer("one-statement", log_level="ERROR")


@server.tool()
async def status(tenant: str) -> str:
    """What the tenant holds."""
    async with (await pool()).acquire() as connection:
        row = await connection.fetchrow(SQL, tenant)
    return str(dict(row))


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    app = server.streamable_http_app(stateless_http=True, json_response=True)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


main()
