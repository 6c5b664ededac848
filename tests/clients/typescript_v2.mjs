// Drives every tool with the TypeScript SDK's second client, in either era.
// node typescript_v2.mjs legacy|2026-07-28 SERVER [ARGUMENT ...]
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { drive } from "./drive.mjs";

const [era, command, ...args] = process.argv.slice(2);
const mode = era === "legacy" ? "legacy" : { pin: era };
const client = new Client({ name: "typescript-v2", version: "2" }, { versionNegotiation: { mode } });
await client.connect(new StdioClientTransport({ command, args, env: process.env }));
await drive(client, () => client.getNegotiatedProtocolVersion?.() ?? era);
