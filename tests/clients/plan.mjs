// Does what plan.json says by a client of either TypeScript SDK, and prints what it saw as one line of JSON.
import { readFileSync } from "node:fs";

export async function drive(client, protocol, callTool) {
  const plan = JSON.parse(readFileSync(new URL("plan.json", import.meta.url)));
  const kept = {};
  const filled = (value) => {
    if (typeof value === "string") return value.replace(/\$([a-z]+)/g, (_, name) => kept[name]);
    if (Array.isArray(value)) return value.map(filled);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, filled(v)]));
    return value;
  };
  const at = (value, pointer) => pointer.split("/").slice(1).reduce((inner, step) => inner[step], value);
  const seen = async (ask) => {
    try {
      return { result: await ask() };
    } catch (error) {
      return { error: error.message };
    }
  };
  const methods = {
    "resources/list": (params) => client.listResources(params),
    "resources/templates/list": (params) => client.listResourceTemplates(params),
    "resources/read": (params) => client.readResource(params),
    "prompts/list": (params) => client.listPrompts(params),
    "prompts/get": (params) => client.getPrompt(params),
    "completion/complete": (params) => client.complete(params),
  };
  // Listing first lets the client check structured answers against the output schemas.
  const { tools } = await client.listTools();
  const calls = [];
  for (const step of plan.tools) {
    const told = [];
    const params = { name: step.tool, arguments: filled(step.arguments) };
    const options = step.progress ? { onprogress: (progress) => told.push(progress) } : {};
    const saw = await seen(() => callTool(params, options));
    for (const [name, pointer] of Object.entries(step.keep ?? {})) kept[name] = at(saw.result.structuredContent, pointer);
    calls.push({ ...saw, progress: told });
  }
  const others = [];
  for (const step of plan.others) others.push(await seen(() => methods[step.method](filled(step.params))));
  console.log(JSON.stringify({ protocol: protocol(), tools, calls, others, kept }));
  await client.close();
}
