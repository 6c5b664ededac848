import type {
  McpUiHostCapabilities,
  McpUiHostContext,
  McpUiInitializedNotification,
  McpUiInitializeRequest,
  McpUiInitializeResult,
  McpUiRequestDisplayModeRequest,
  McpUiSizeChangedNotification,
  McpUiToolCancelledNotification,
  McpUiToolInputNotification,
  McpUiToolResultNotification,
  McpUiUpdateModelContextRequest,
} from "@modelcontextprotocol/ext-apps";

/** A tool's result as hosts hand it on. */
export type ToolResult = McpUiToolResultNotification["params"];

type ToolCall = { method: "tools/call"; params: { name: string; arguments: Record<string, unknown> } };
type Request = McpUiInitializeRequest | McpUiRequestDisplayModeRequest | McpUiUpdateModelContextRequest | ToolCall;
type Notification = McpUiInitializedNotification | McpUiSizeChangedNotification;

/** What a host tells. */
export interface Listener {
  input(params: McpUiToolInputNotification["params"]): void;
  result(result: ToolResult): void;
  cancelled(params: McpUiToolCancelledNotification["params"]): void;
  context(context: McpUiHostContext): void;
}

interface Message {
  jsonrpc?: string;
  id?: string | number;
  method?: string;
  params?: any;
  result?: any;
  error?: { message?: string };
}

interface Waiting {
  resolve(result: any): void;
  reject(error: Error): void;
}

/** The host, reached by JSON-RPC over postMessage (MCP Apps 2026-01-26, "Communication Protocol"). */
export class Host {
  capabilities: McpUiHostCapabilities = {};
  context: McpUiHostContext = {};
  private readonly waiting = new Map<string | number, Waiting>();
  private lastId = 0;

  constructor(
    private readonly window: Window,
    private readonly listener: Listener,
  ) {
    addEventListener("message", (event) => {
      // Whoever is not the host has nothing to say.
      if (event.source === this.window && event.data?.jsonrpc === "2.0") this.receive(event.data);
    });
  }

  async connect(): Promise<void> {
    const result: McpUiInitializeResult = await this.request({
      method: "ui/initialize",
      params: {
        appInfo: { name: "bailiwick-cost-report", version: "1" },
        appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
        protocolVersion: "2026-01-26",
      },
    });
    this.capabilities = result.hostCapabilities ?? {};
    this.context = result.hostContext ?? {};
    this.listener.context(this.context);
    this.notify({ method: "ui/notifications/initialized", params: {} });
    this.tellSize();
  }

  /** Whether the host lets views call tools. */
  get callsTools(): boolean {
    return this.capabilities.serverTools !== undefined;
  }

  callTool(name: string, args: Record<string, unknown>): Promise<ToolResult> {
    return this.request({ method: "tools/call", params: { name, arguments: args } });
  }

  async display(mode: "inline" | "fullscreen"): Promise<void> {
    const result = await this.request({ method: "ui/request-display-mode", params: { mode } });
    this.heed({ displayMode: result.mode });
  }

  /** Lets the model know what the person sees now. */
  async tellModel(words: string): Promise<void> {
    if (!this.capabilities.updateModelContext) return;
    await this.request({ method: "ui/update-model-context", params: { content: [{ type: "text", text: words }] } });
  }

  private request(request: Request): Promise<any> {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.post({ id, ...request });
    });
  }

  private notify(notification: Notification): void {
    this.post(notification);
  }

  private post(message: object): void {
    this.window.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }

  private receive(message: Message): void {
    const { id, method, params } = message;
    if (method === undefined) {
      const waiting = id === undefined ? undefined : this.waiting.get(id);
      if (!waiting || id === undefined) return;
      this.waiting.delete(id);
      if (message.error) waiting.reject(new Error(message.error.message ?? "the host gave no reason"));
      else waiting.resolve(message.result);
    } else if (id !== undefined) {
      // Nothing here has to be put away before the page goes.
      const known = method === "ping" || method === "ui/resource-teardown";
      this.post(known ? { id, result: {} } : { id, error: { code: -32601, message: `there is no ${method} here` } });
    } else if (method === "ui/notifications/tool-input") this.listener.input(params ?? {});
    else if (method === "ui/notifications/tool-result") this.listener.result(params);
    else if (method === "ui/notifications/tool-cancelled") this.listener.cancelled(params ?? {});
    else if (method === "ui/notifications/host-context-changed") this.heed(params ?? {});
  }

  private heed(changed: McpUiHostContext): void {
    this.context = { ...this.context, ...changed };
    this.listener.context(this.context);
  }

  /** Tells the host the content's height, now and whenever it changes. */
  private tellSize(): void {
    let told = "";
    const tell = () => {
      const { style } = document.documentElement;
      const before = style.height;
      // As high as it wants to be, not as the frame is.
      style.height = "max-content";
      const height = Math.ceil(document.documentElement.getBoundingClientRect().height);
      style.height = before;
      const params = { width: Math.ceil(innerWidth), height };
      if (told === JSON.stringify(params)) return;
      told = JSON.stringify(params);
      this.notify({ method: "ui/notifications/size-changed", params });
    };
    const observer = new ResizeObserver(() => requestAnimationFrame(tell));
    observer.observe(document.documentElement);
    observer.observe(document.body);
  }
}
