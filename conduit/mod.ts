/** conduit: how bytes reach a peer, and how peers reach us. The room's only door. */
export type { Flow, FlowErrorCode, PeerAddress, Result } from "./flow.ts";
export { FlowError } from "./flow.ts";

// Asking for a peer: endpoints, the registry of ways to reach them, and the attempts made.
export type {
  Endpoint,
  MemoryEndpoint,
  SecurityLevel,
  SshEndpoint,
  TcpEndpoint,
  TlsEndpoint,
} from "./endpoint.ts";
export { describeEndpoint, hostPort } from "./endpoint.ts";
export type {
  AttemptOptions,
  Candidate,
  ConnectErrorCode,
  Protocol,
  Resolution,
  Resolver,
} from "./protocol.ts";
export { ConnectError } from "./protocol.ts";
export type { Registry, Route, Target } from "./registry.ts";
export { createRegistry } from "./registry.ts";
export type { Attempt, ConnectOptions } from "./connect.ts";
export { connect, ConnectFailure } from "./connect.ts";
export type { ExplainOptions, Plan, PlannedCandidate, PlannedRoute } from "./explain.ts";
export { explain, formatPlan } from "./explain.ts";
export type { Lookup } from "./addresses.ts";

// The protocols and their resolvers.
export type { TcpConfig, TcpResolverOptions } from "./tcp.ts";
export { tcpProtocol, tcpResolver } from "./tcp.ts";
export type { TlsConfig, TlsResolverOptions } from "./tls.ts";
export { tlsProtocol, tlsResolver } from "./tls.ts";
export type { ClientCertificate, TlsSettings } from "./tls_flow.ts";
export type { ClientCertificateSource } from "./certificates.ts";
export { readCertificate, readRoots } from "./certificates.ts";
export type { MemoryConfig, MemoryNetwork, MemoryPairOptions } from "./memory.ts";
export { createMemoryNetwork, memoryPair, memoryProtocol, memoryResolver } from "./memory.ts";

// Flows over what is there already: standard input and output, a child process.
export type { PipeFlowOptions } from "./pipe.ts";
export { pipeFlow } from "./pipe.ts";

// HTTP: requests with streamed bodies.
export type { HttpClient, HttpHeaders, HttpRequest, HttpResponse } from "./http/types.ts";
export type { HttpClientOptions } from "./http/options.ts";
export type { ExplainingHttpClient } from "./http/client.ts";
export { createHttpClient } from "./http/client.ts";
export type { HttpCredentials } from "./http/credentials.ts";
export type { HttpProxy } from "./proxy.ts";
export { proxyFromEnvironment } from "./proxy.ts";

// The listening side.
export type { Listener, ListenErrorCode, ListenEvent, ListenLimits } from "./listener.ts";
export { ListenError } from "./listener.ts";
export type { ListenTcpOptions } from "./listen_tcp.ts";
export { listenTcp } from "./listen_tcp.ts";
export type { ListenTlsOptions, ServerCertificate } from "./listen_tls.ts";
export { listenTls } from "./listen_tls.ts";
export type { ListenHttpOptions } from "./listen_http.ts";
export { listenHttp } from "./listen_http.ts";
export type { HttpHandler } from "./http/server_exchange.ts";

// SSH: commands on other hosts, commands that others run here, and OpenSSH's formats.
export type { SshConfig, SshFlow, SshPatience } from "./ssh/client.ts";
export { isSshFlow, sshProtocol } from "./ssh/client.ts";
export type { SshResolverOptions } from "./ssh/resolver.ts";
export { sshResolver } from "./ssh/resolver.ts";
export type { ListenSshOptions } from "./ssh/listen.ts";
export type { OfferedKey } from "./ssh/login.ts";
export type { SshSession } from "./ssh/session.ts";
export { listenSsh } from "./ssh/listen.ts";
export type { AuthorizedKey, AuthorizedKeyOptions, AuthorizedKeysFault } from "./ssh/authorized_keys.ts";
export { parseAuthorizedKeys } from "./ssh/authorized_keys.ts";
export type { SshKeyPair, SshPublicKey } from "./ssh/keys.ts";
export { generateSshKey, knownHostsLine, parsePublicKey, sshFingerprint } from "./ssh/keys.ts";
export type { SshAgentOptions } from "./ssh/agent.ts";
export { publicKeyOf } from "./ssh/identity.ts";
export type { HostKnowledge, KnownHosts, KnownHostsEntry, KnownHostsFault } from "./ssh/known_hosts.ts";
export { knowledgeOf, parseKnownHosts } from "./ssh/known_hosts.ts";
export type { SshLocation } from "./ssh/url.ts";
export { parseSshUrl, shellQuote } from "./ssh/url.ts";
