/** dns: names, records, messages, zone files, zones, the image, answers, servers. The room's only door. */
export type {
  Edns,
  EdnsOption,
  Fault,
  Message,
  Name,
  Position,
  Prerequisite,
  Question,
  ResourceRecord,
  RRset,
  TsigAlgorithm,
  TsigKey,
  UpdateOperation,
  ZoneView,
} from "./types.ts";

// names and record types
export {
  compareNames,
  firstLabel,
  isAtOrBelow,
  isBelow,
  joinName,
  labelsOf,
  nameFrom,
  nameFromWire,
  nameOctets,
  nameToWire,
  parentName,
  parseName,
  relativeTo,
  ROOT,
  writeName,
} from "./name.ts";
export type { NameError, NameErrorCode } from "./name.ts";
export { CLASS, classFromName, className, RRTYPE, typeFromName, typeName } from "./rr/types.ts";

// rdata, serials, zone files
export {
  canonicalRdata,
  compareRdata,
  decompressRdata,
  rdataFromText,
  rdataIsValid,
  rdataNames,
  rdataToText,
  recordToText,
} from "./rr/rdata.ts";
export type { EmbeddedName, RdataError } from "./rr/rdata.ts";
export type { RdataErrorCode } from "./rr/descriptor.ts";
export { isMetaType } from "./rr/types.ts";
export { soaExpire, soaMinimum, soaRefresh, soaSerial, withSoaSerial } from "./rr/soa.ts";
export { serialGreater, serialNext } from "./serial.ts";
export { MAX_TTL, parseZoneFile, positionAt, ZONE_FILE_LIMITS } from "./zonefile/parse.ts";
export type {
  IncludeReader,
  RecordSink,
  RecordSpan,
  ZoneFileInput,
  ZoneFileLimits,
} from "./zonefile/parse.ts";
export { parseZoneWire } from "./zonefile/parse.ts";
export type { WireEntry, WireSink } from "./zonefile/parse.ts";
export { printZone } from "./zonefile/print.ts";

// messages
export { BADSIG, EDE, EDNS_OPTION, OPCODE, RCODE, rcodeName } from "./message/codes.ts";
export { isResponse, MAX_MESSAGE_OCTETS, messageId, opcodeOf } from "./message/header.ts";
export {
  type MessageError,
  type MessageErrorCode,
  type ParsedMessage,
  parseMessage,
} from "./message/parse.ts";
export { buildMessage, type BuildOptions } from "./message/build.ts";
export { EMPTY_MESSAGE, plainEdns, queryFor, responseTo } from "./message/respond.ts";
export { bareReply, hasEdns } from "./message/reply.ts";
export { type ExtendedError, extendedErrorOption, extendedErrorsOf } from "./message/edns.ts";

// transaction signatures
export { TSIG_ALGORITHMS } from "./tsig/hmac.ts";
export {
  generateTsigKey,
  type KeyError,
  keyFromDnskey,
  keyToDnskey,
  parseKeyArgument,
  parseKeyFile,
  parseKeyRecord,
  printKeyArgument,
  printKeyFile,
} from "./tsig/keys.ts";
export { covers, type KeyOperation, type KeyRight, keyRight } from "./tsig/rights.ts";
export {
  DEFAULT_FUDGE,
  signatureOctets,
  signContinuation,
  type SignedMessage,
  signRequest,
  signResponse,
} from "./tsig/sign.ts";
export {
  type RefusalReason,
  type RequestVerdict,
  type ResponseError,
  type ResponseErrorCode,
  type VerifiedResponse,
  verifyContinuation,
  verifyRequest,
  verifyResponse,
} from "./tsig/verify.ts";

// updates
export { buildUpdate, parseUpdate, type UpdateError, type UpdateRequest } from "./update/sections.ts";
export { checkPrerequisites } from "./update/prerequisites.ts";
export { applyOperations, type RRsetChange } from "./update/apply.ts";

// zones, the image, answers, UDP servers
export { answerQuery, DROP, SLOW_PATH, UDP_PAYLOAD } from "./answer/answer.ts";
export {
  type AnswerContext,
  type AnswerSettings,
  createAnswerContext,
  DEFAULT_SETTINGS,
  RESPONSE,
} from "./answer/context.ts";
export { createImageSet } from "./image/set.ts";
export type { ImageSet } from "./image/set.ts";
export { createImageBoard } from "./server/board.ts";
export type { ImageBoard } from "./server/board.ts";
export { brokenZone, compileZone, createZoneBuilder } from "./zone/builder.ts";
export type { ZoneBuilder, ZoneError, ZoneErrorCode } from "./zone/builder.ts";
export { changedOwners, diffZones } from "./zone/diff.ts";
export type { OwnerChange, ZoneDifference } from "./zone/diff.ts";
export type { OwnerRRsets, Zone } from "./zone/zone.ts";

// the client
export { createDnsClient, type DnsClient, type DnsClientOptions } from "./client/client.ts";
export type { DnsClientError } from "./client/errors.ts";

// signed queries, updates, and TCP
export {
  createResponder,
  type Respond,
  type ResponderEvent,
  type ResponderOptions,
  type SignedUpdate,
  type Transport,
  type UpdateOutcome,
} from "./server/responder.ts";

// a zone's base made anew beside other work
export { compactedZone, compaction, rebase } from "./zone/compact.ts";
export type { WireRecord, ZoneSize } from "./zone/builder.ts";

// the server
export { type DnsServer, type DnsServerOptions, startDnsServer } from "./server/server.ts";
export type { ClosingReason, DnsCounters } from "./server/counters.ts";
export type { DnsListenError } from "./server/sockets.ts";
export type { TcpLimits } from "./server/tcp_limits.ts";

// what an operator sets: limits of answers and connections
export { DEFAULT_RATE_LIMIT, type RateLimit } from "./limit/limiter.ts";
export { type AddressRange, LOOPBACK, parseRange } from "./limit/range.ts";
export { COOKIE_SECRET_OCTETS } from "./edns/cookie.ts";
export { TCP_DEFAULTS } from "./server/tcp_limits.ts";
export { addressOctetsOf } from "./server/socket_address.ts";

// memory that is let go
export { createGarbage, type Garbage } from "./server/garbage.ts";
