"""Does what plan.json says with the Python SDK's client and prints what it saw as one line of JSON.

python python_client.py legacy|2026-07-28 SERVER [ARGUMENT ...]

SERVER is a program, or the URL of one that serves over HTTP (as HTTP+SSE if it ends with /sse), with a key in BAILIWICK_TEST_KEY.
"""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation, PromptReference, ResourceTemplateReference


async def main(mode: str, command: str, *arguments: str) -> None:
    if command.startswith("http"):
        headers = {"Authorization": f"Bearer {os.environ['BAILIWICK_TEST_KEY']}"}
        if command.endswith("/sse"):
            transport = sse_client(command, headers=headers)
        else:
            transport = streamable_http_client(command, http_client=httpx2.AsyncClient(headers=headers))
    else:
        transport = stdio_client(StdioServerParameters(command=command, args=list(arguments), env=dict(os.environ)))
    me = Implementation(name="python-sdk", version="2.3")
    async with Client(transport, mode=mode, client_info=me) as client:
        print(json.dumps(await drive(client)))


async def drive(client: Client) -> dict:
    plan = json.loads(Path(__file__).with_name("plan.json").read_text())
    kept = {}

    def filled(value):
        if isinstance(value, str):
            return re.sub(r"\$([a-z]+)", lambda found: kept[found[1]], value)
        if isinstance(value, list):
            return [filled(item) for item in value]
        if isinstance(value, dict):
            return {name: filled(item) for name, item in value.items()}
        return value

    def at(value, pointer: str):
        for step in pointer.split("/")[1:]:
            value = value[int(step)] if isinstance(value, list) else value[step]
        return value

    async def seen(asked) -> dict:
        try:
            return {"result": (await asked).model_dump(mode="json", by_alias=True, exclude_none=True)}
        except MCPError as error:
            return {"error": str(error)}

    def other(method: str, params: dict):
        match method:
            case "resources/list":
                return client.list_resources()
            case "resources/templates/list":
                return client.list_resource_templates()
            case "resources/read":
                return client.read_resource(params["uri"])
            case "prompts/list":
                return client.list_prompts()
            case "prompts/get":
                return client.get_prompt(params["name"], params["arguments"])
            case "completion/complete":
                kind = PromptReference if params["ref"]["type"] == "ref/prompt" else ResourceTemplateReference
                return client.complete(kind(**params["ref"]), params["argument"])

    # Listing first lets the client check structured answers against the output schemas.
    tools = (await client.list_tools()).tools
    calls = []
    for step in plan["tools"]:
        told = []

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            told.append({"progress": progress, "total": total, "message": message})

        listener = tell if step.get("progress") else None
        saw = await seen(client.call_tool(step["tool"], filled(step["arguments"]), progress_callback=listener))
        for name, pointer in step.get("keep", {}).items():
            kept[name] = at(saw["result"]["structuredContent"], pointer)
        calls.append({**saw, "progress": told})
    others = [await seen(other(step["method"], filled(step["params"]))) for step in plan["others"]]
    return {
        "protocol": client.protocol_version,
        "tools": [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools],
        "calls": calls,
        "others": others,
        "kept": kept,
    }


asyncio.run(main(*sys.argv[1:]))
