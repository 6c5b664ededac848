// A loopback proxy that adds the API key: the suite sends no credential. Everything else passes as it is, hosts and streams
// included, and who closes one side closes the other.
//
//   BAILIWICK_TEST_KEY=bwk_… node proxy.mjs http://127.0.0.1:8080/mcp 8081

import http from "node:http";

const target = new URL(process.argv[2]);
const server = http.createServer((request, response) => {
  const headers = [...request.rawHeaders, "Authorization", `Bearer ${process.env.BAILIWICK_TEST_KEY}`];
  const forwarded = http.request(
    { host: target.hostname, port: target.port, method: request.method, path: request.url, headers, setHost: false },
    (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      response.flushHeaders();
      answer.pipe(response);
    },
  );
  forwarded.on("error", () => response.destroy());
  response.on("close", () => forwarded.destroy());
  request.pipe(forwarded);
});
server.listen(Number(process.argv[3]), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}${target.pathname}`));
