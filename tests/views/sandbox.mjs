// The sandbox between host and view ("Sandbox proxy" in the specification): it writes the page into a frame of its own, under the
// policy that this page was served with, and passes messages on.
const view = document.createElement("iframe");
view.sandbox = "allow-scripts allow-same-origin allow-forms";
document.body.append(view);
const origin = new URL(document.referrer).origin;

addEventListener("message", ({ source, data, origin: from }) => {
  if (source === parent && from === origin) {
    if (data?.method === "ui/notifications/sandbox-resource-ready") {
      const inner = view.contentDocument;
      inner.open();
      inner.write(data.params.html);
      inner.close();
    } else view.contentWindow.postMessage(data, "*");
  } else if (source === view.contentWindow) parent.postMessage(data, origin);
});
parent.postMessage({ jsonrpc: "2.0", method: "ui/notifications/sandbox-proxy-ready", params: {} }, origin);
