/** conduit: how bytes reach a peer, and how peers reach us. The room's only door. */
export type { Flow, FlowErrorCode, PeerAddress, Result } from "./flow.ts";
export { FlowError } from "./flow.ts";
