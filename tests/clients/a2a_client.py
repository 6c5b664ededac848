"""Drives skills by the A2A SDK; prints what it saw as JSON.

    BAILIWICK_TEST_KEY=bwk_… python3 a2a_client.py http://127.0.0.1:8080
"""

import asyncio
import json
import os
import sys

import httpx
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import new_data_message, new_text_message
from a2a.types import Role, SendMessageRequest
from google.protobuf.json_format import MessageToDict


async def main():
    headers = {"Authorization": f"Bearer {os.environ['BAILIWICK_TEST_KEY']}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        client = await create_client(sys.argv[1], ClientConfig(streaming=False, httpx_client=http))
        card = client._card if hasattr(client, "_card") else None

        async def send(message):
            async for response in client.send_message(SendMessageRequest(message=message)):
                return MessageToDict(response)["message"]["parts"][0]["data"]

        async def skill(name, arguments):
            return await send(new_data_message({"skill": name, "arguments": arguments}, role=Role.ROLE_USER))

        stored = await skill("insert_document", {"title": "Staplers", "content": "Staplers are in the third drawer."})
        found = await send(new_text_message("Where are the staplers?", role=Role.ROLE_USER))
        try:
            await skill("hybrid_search", {"query": "x", "limit": 99})
            invalid = "none"
        except Exception as error:
            invalid = str(error)
        skills = [skill.id for skill in card.skills] if card else []
        print(json.dumps({"document_id": stored["document_id"], "found": found["results"][0]["title"], "invalid": invalid, "skills": skills}))


asyncio.run(main())
