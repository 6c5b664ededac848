// Calls every tool and prints what it saw as one line of JSON.
export async function drive(client, protocol) {
  // Listing first lets the client check structured answers against the output schemas.
  const { tools } = await client.listTools();
  const ask = async (name, given) => {
    const result = await client.callTool({ name, arguments: given });
    if (result.isError) throw new Error(`${name}: ${result.content[0].text}`);
    return result.structuredContent;
  };
  await ask("insert_document", { title: "Staplers", content: "Staplers are refilled on Tuesdays.", source: "office.md" });
  const found = await ask("hybrid_search", { query: "When are staplers refilled?" });
  await ask("record_usage", { provider: "openai", model_name: "gpt-4o-mini", input_tokens: 10, output_tokens: 5 });
  const costs = await ask("cost_report", { group_by: ["model"] });
  const invalid = await client.callTool({ name: "hybrid_search", arguments: { query: "staplers", limit: 99 } });
  const { resources } = await client.listResources();
  const document = await client.readResource({ uri: resources.at(-1).uri });
  const prompt = await client.getPrompt({ name: "answer_with_sources", arguments: { question: "When?" } });
  const ref = { type: "ref/prompt", name: "answer_with_sources" };
  const sources = await client.complete({ ref, argument: { name: "source", value: "off" } });
  console.log(
    JSON.stringify({
      protocol: protocol(),
      tools: tools.map((tool) => tool.name),
      read: document.contents[0].text,
      prompt: prompt.messages[0].content.text,
      sources: sources.completion.values,
      found: found.results[0].title,
      cost_usd: costs.totals.total_cost_usd,
      invalid: invalid.isError ? invalid.content[0].text : "accepted",
    }),
  );
  await client.close();
}
