// Drives every tool with the TypeScript SDK's first client (2025-11-25 and before).
// node typescript_v1.mjs SERVER [ARGUMENT ...]
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { drive } from "./drive.mjs";

const client = new Client({ name: "typescript-v1", version: "1" });
const [command, ...args] = process.argv.slice(2);
let protocol;
const transport = new StdioClientTransport({ command, args, env: process.env });
transport.setProtocolVersion = (version) => (protocol = version);
await client.connect(transport);
await drive(client, () => protocol ?? "legacy");
