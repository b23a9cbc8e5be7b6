/** A forward proxy of a test's own: CONNECT, and whole URLs by GET; plain or by TLS; perhaps with credentials. */
import { createServer, request as forward } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect } from "node:net";
import { freePort } from "../tools/ports.ts";

export interface TestProxy {
  readonly url: string;
  /** What was asked for: `CONNECT host:port`, `GET url`. */
  readonly asked: string[];
  stop(): Promise<void>;
}

export interface TestProxyOptions {
  readonly tls?: { cert: string; key: string };
  /** `user:password` that it wants. */
  readonly credentials?: string;
  /** Where names lead. */
  readonly hosts?: ReadonlyMap<string, string>;
}

export async function startProxy(options: TestProxyOptions = {}): Promise<TestProxy> {
  const asked: string[] = [];
  const wanted = options.credentials === undefined ? undefined : `Basic ${btoa(options.credentials)}`;
  const address = (host: string) => options.hosts?.get(host) ?? host;
  const server = options.tls === undefined ? createServer() : createSecureServer(options.tls);
  server.on("connect", (request, socket, head) => {
    asked.push(`CONNECT ${request.url}`);
    if (wanted !== undefined && request.headers["proxy-authorization"] !== wanted) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
      return;
    }
    const { hostname, port } = new URL(`http://${request.url}`);
    const upstream = connect(Number(port), address(hostname), () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.write(head);
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    upstream.on("error", () => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    socket.on("error", () => upstream.destroy());
  });
  server.on("request", (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (wanted !== undefined && request.headers["proxy-authorization"] !== wanted) {
      response.writeHead(407).end();
      return;
    }
    const url = new URL(request.url ?? "");
    const { host } = request.headers;
    const onward = forward({
      host: address(url.hostname),
      port: url.port,
      path: url.pathname,
      headers: { ...(host === undefined ? {} : { host }) },
    }, (answer) => {
      response.writeHead(answer.statusCode ?? 500);
      answer.pipe(response);
    });
    onward.end();
  });
  const port = freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
  return {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    asked,
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
