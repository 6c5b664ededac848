// Serves host and sandbox, each from an origin of its own.
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const STYLE = "body{margin:0;font-family:sans-serif}iframe{display:block;width:100%;height:100vh;border:0}";

async function page(script, body) {
  const entry = fileURLToPath(new URL(script, import.meta.url));
  const result = await build({ entryPoints: [entry], bundle: true, write: false, format: "iife", logLevel: "error" });
  return `<!doctype html><title>${script}</title><link rel="icon" href="data:,"><style>${STYLE}</style><body>${body}<script>${result.outputFiles[0].text.replaceAll("</script", "<\\/script")}</script>`;
}

/** The policy that the specification has hosts make of a resource's metadata ("Content Security Policy Enforcement"). */
function policy({ connectDomains = [], resourceDomains = [], frameDomains = [], baseUriDomains = [] }) {
  const from = (own, domains) => [own, ...domains].join(" ");
  return [
    "default-src 'none'",
    from("script-src 'self' 'unsafe-inline'", resourceDomains),
    from("style-src 'self' 'unsafe-inline'", resourceDomains),
    from("connect-src 'self'", connectDomains),
    from("img-src 'self' data:", resourceDomains),
    from("font-src 'self'", resourceDomains),
    from("media-src 'self' data:", resourceDomains),
    `frame-src ${frameDomains.join(" ") || "'none'"}`,
    "object-src 'none'",
    `base-uri ${baseUriDomains.join(" ") || "'self'"}`,
  ].join("; ");
}

async function listening(answer) {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    const { html, headers = {}, status = 200 } = answer(pathname, searchParams);
    response.writeHead(status, { "content-type": "text/html; charset=utf-8", ...headers }).end(html);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

export async function serve() {
  const [host, sandbox] = await Promise.all([page("host.mjs", "<div id=place></div>"), page("sandbox.mjs", "")]);
  const none = { html: "", status: 404 };
  const servers = await Promise.all([
    listening((path) => (path === "/" ? { html: host } : none)),
    listening((path, search) => (path === "/sandbox" ? { html: sandbox, headers: { "content-security-policy": policy(JSON.parse(search.get("csp"))) } } : none)),
  ]);
  const [own, other] = servers.map((server) => server.address().port);
  return {
    origin: `http://127.0.0.1:${own}`,
    sandbox: `http://localhost:${other}/sandbox`,
    close: () => servers.forEach((server) => server.close()),
  };
}
