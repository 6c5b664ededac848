// Starts an installed bundle as Claude Desktop does, by the functions that it takes from @anthropic-ai/mcpb, and works with it.
// node bundle.mjs INSTALLED '{"tenant": "demo"}' [left-empty]
import { getMcpConfigForManifest } from "@anthropic-ai/mcpb";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, sep } from "node:path";

const [installed, filledIn, leftEmpty] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(join(installed, "manifest.json")));
if (leftEmpty) {
  // A client that takes no default for a field hands it on as it stands.
  for (const field of Object.values(manifest.user_config)) delete field.default;
}
const config = await getMcpConfigForManifest({
  manifest,
  extensionPath: installed,
  systemDirs: { HOME: homedir() },
  userConfig: JSON.parse(filledIn),
  pathSeparator: sep,
});
const client = new Client({ name: "desktop", version: "1" }, { versionNegotiation: { mode: "legacy" } });
await client.connect(new StdioClientTransport({ ...config, stderr: "inherit" }));
const call = async (name, args) => {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError) throw new Error(JSON.stringify(result));
  return result.structuredContent;
};
const { tools } = await client.listTools();
const { prompts } = await client.listPrompts();
const stored = await call("insert_document", { title: "Bicycles", content: "Bicycles are parked in the courtyard." });
const found = await call("hybrid_search", { query: "Where are bicycles parked?" });
const server = client.getServerVersion();
console.log(JSON.stringify({ config, server, tools: tools.map(({ name }) => name), prompts, stored, found }));
await client.close();
