// Does what plan.json says with the TypeScript SDK's first client (2025-11-25 and before).
// node typescript_v1.mjs SERVER [ARGUMENT ...]
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { drive } from "./plan.mjs";

const client = new Client({ name: "typescript-v1", version: "1" });
const [command, ...args] = process.argv.slice(2);
let protocol;
const headers = { Authorization: `Bearer ${process.env.BAILIWICK_TEST_KEY}` };
const Transport = command.endsWith("/sse") ? SSEClientTransport : StreamableHTTPClientTransport;
const transport = command.startsWith("http")
  ? new Transport(new URL(command), { requestInit: { headers } })
  : new StdioClientTransport({ command, args, env: process.env });
const told = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (version) => told?.((protocol = version)) ?? (protocol = version);
await client.connect(transport);
await drive(client, () => protocol ?? "legacy", (params, options) => client.callTool(params, undefined, options));
