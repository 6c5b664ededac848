// Does what plan.json says with the TypeScript SDK's second client, in either era.
// node typescript_v2.mjs legacy|2026-07-28 SERVER [ARGUMENT ...]
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { drive } from "./plan.mjs";

const [era, command, ...args] = process.argv.slice(2);
const mode = era === "legacy" ? "legacy" : { pin: era };
const client = new Client({ name: "typescript-v2", version: "2" }, { versionNegotiation: { mode } });
const headers = { Authorization: `Bearer ${process.env.BAILIWICK_TEST_KEY}` };
const transport = command.startsWith("http")
  ? new StreamableHTTPClientTransport(new URL(command), { requestInit: { headers } })
  : new StdioClientTransport({ command, args, env: process.env });
await client.connect(transport);
await drive(client, () => client.getNegotiatedProtocolVersion?.() ?? era, (params, options) => client.callTool(params, options));
