"""Drives every tool with the Python SDK's client and prints what it saw as one line of JSON.

python python_client.py legacy|2026-07-28 SERVER [ARGUMENT ...]

SERVER is a program, or the URL of one that serves over HTTP (as HTTP+SSE if it ends with /sse), with a key in BAILIWICK_TEST_KEY.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation, PromptReference


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
        tools = (await client.list_tools()).tools

        async def ask(name: str, **given):
            result = await client.call_tool(name, given)
            assert not result.is_error, result.content
            return result.structured_content

        await ask("insert_document", title="Staplers", content="Staplers are refilled on Tuesdays.", source="office.md")
        found = await ask("hybrid_search", query="When are staplers refilled?")
        await ask("record_usage", provider="openai", model_name="gpt-4o-mini", input_tokens=10, output_tokens=5)
        costs = await ask("cost_report", group_by=["model"])
        invalid = await client.call_tool("hybrid_search", {"query": "staplers", "limit": 99})
        resources = (await client.list_resources()).resources
        document = await client.read_resource(str(resources[-1].uri))
        prompt = await client.get_prompt("answer_with_sources", {"question": "When?"})
        reference = PromptReference(type="ref/prompt", name="answer_with_sources")
        sources = await client.complete(reference, {"name": "source", "value": "off"})
        print(
            json.dumps(
                {
                    "protocol": client.protocol_version,
                    "tools": [tool.name for tool in tools],
                    "read": document.contents[0].text,
                    "prompt": prompt.messages[0].content.text,
                    "sources": sources.completion.values,
                    "found": found["results"][0]["title"],
                    "cost_usd": costs["totals"]["total_cost_usd"],
                    "invalid": invalid.content[0].text if invalid.is_error else "accepted",
                }
            )
        )


asyncio.run(main(*sys.argv[1:]))
