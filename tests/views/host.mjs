// A web host of MCP Apps as small as the specification allows: the package's own AppBridge, between a client of a real server
// and a view within a sandbox of another origin. The driver calls window.host.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { AppBridge, getToolUiResourceUri, PostMessageTransport, RESOURCE_MIME_TYPE } from "@modelcontextprotocol/ext-apps/app-bridge";

const HOST = { name: "bailiwick-test-host", version: "1" };

window.host = {
  /** Connects to a server, calls its tool and shows the result in its view. */
  async show({ url, key, mode, sandbox, args, context, withoutTools, onlyText, cancelled, altered = {}, html }) {
    const capabilities = { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: [RESOURCE_MIME_TYPE] } } };
    const client = new Client(HOST, { capabilities, versionNegotiation: { mode } });
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${key}` } } }));
    const { tools } = await client.listTools();
    const tool = tools.find((one) => one.name === "cost_report");
    const { contents: [page] } = await client.readResource({ uri: getToolUiResourceUri(tool) });
    if (page.mimeType !== RESOURCE_MIME_TYPE) throw new Error(`a view of ${page.mimeType}`);

    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts allow-same-origin allow-forms";
    const ready = new Promise((resolve) => {
      addEventListener("message", ({ source, data }) => {
        if (source === frame.contentWindow && data?.method === "ui/notifications/sandbox-proxy-ready") resolve();
      });
    });
    frame.src = `${sandbox}?csp=${encodeURIComponent(JSON.stringify(page._meta.ui.csp))}`;
    document.querySelector("#place").replaceChildren(frame);
    await ready;

    this.log = { calls: [], sizes: [], contexts: [], modes: [] };
    const offered = withoutTools ? {} : { serverTools: {}, updateModelContext: { text: {} } };
    const bridge = new AppBridge(null, HOST, offered, { hostContext: { toolInfo: { tool }, ...context } });
    this.bridge = bridge;
    bridge.oncalltool = async (params) => {
      this.log.calls.push(params);
      if (this.deny) throw new Error("the person declined");
      return client.callTool(params);
    };
    bridge.onupdatemodelcontext = async (params) => {
      this.log.contexts.push(params);
      return {};
    };
    bridge.onrequestdisplaymode = async ({ mode }) => {
      this.log.modes.push(mode);
      return { mode };
    };
    bridge.onsizechange = (size) => {
      this.log.sizes.push(size);
      frame.style.height = `${size.height}px`;
    };
    const initialized = new Promise((resolve) => (bridge.oninitialized = resolve));
    await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
    await bridge.sendSandboxResourceReady({ html: html ?? page.text, csp: page._meta.ui.csp });
    await initialized;
    await bridge.sendToolInput({ arguments: args });
    if (cancelled) return bridge.sendToolCancelled({ reason: cancelled });
    const result = await client.callTool({ name: tool.name, arguments: args });
    // What the server of this test has no occasion to tell.
    for (const [pointer, value] of Object.entries(altered)) {
      const steps = pointer.slice(1).split("/");
      const last = steps.pop();
      steps.reduce((inner, step) => inner[step], result.structuredContent)[last] = value;
    }
    await bridge.sendToolResult(onlyText ? { content: result.content } : result);
    const { forecast_month_end_usd: forecast } = result.structuredContent?.budget ?? {};
    return { forecast, protocol: client.getNegotiatedProtocolVersion?.(), app: bridge.getAppVersion(), able: bridge.getAppCapabilities() };
  },
};
