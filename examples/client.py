"""Stores a document and finds it again, over stdio.

    pip install "mcp>=2.3"
    python examples/client.py [PATH OF bailiwick]
"""

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(program: str = "bailiwick") -> None:
    server = StdioServerParameters(command=program, args=["serve"], env=dict(os.environ))
    async with Client(stdio_client(server)) as client:
        await client.call_tool(
            "insert_document",
            {"title": "Bicycle shed", "content": "The code of the bicycle shed is changed every spring."},
        )
        answer = await client.call_tool("hybrid_search", {"query": "When does the bicycle shed's code change?"})
        if answer.is_error:
            sys.exit(answer.content[0].text)
        for found in answer.structured_content["results"]:
            print(f"{found['title']}: {found['passage']}")


asyncio.run(main(*sys.argv[1:]))
