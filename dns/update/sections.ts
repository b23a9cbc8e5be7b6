/** The sections of an UPDATE message (RFC 2136 §2), read and written. */
import type { Result } from "../../conduit/mod.ts";
import { buildMessage } from "../message/build.ts";
import { OPCODE, RCODE } from "../message/codes.ts";
import { EMPTY_MESSAGE } from "../message/respond.ts";
import { isAtOrBelow } from "../name.ts";
import { rdataIsValid } from "../rr/rdata.ts";
import { CLASS, isMetaType, RRTYPE, typeName } from "../rr/types.ts";
import type { Edns, Message, Name, Prerequisite, ResourceRecord, UpdateOperation } from "../types.ts";

/** What an UPDATE asks for. */
export interface UpdateRequest {
  /** The zone section's name: at, above or below the apex of what is served. */
  readonly zone: Name;
  readonly prerequisites: readonly Prerequisite[];
  /** In the order in which they take effect. */
  readonly operations: readonly UpdateOperation[];
}

/** Why an UPDATE is refused: the response code, and a sentence for people. */
export interface UpdateError {
  readonly rcode: number;
  readonly message: string;
}

/**
 * Reads the sections and checks their form (RFC 2136 §3.1.1, §3.2.5, §3.4.1.3): one zone of type SOA and class IN, all
 * names at or below it (else NOTZONE), classes, TTLs and lengths as the forms of §2.4 and §2.5 want them, rdata that is
 * well-formed. Whether the zone is served and the key may change it is for the caller to say.
 */
export function parseUpdate(message: Message): Result<UpdateRequest, UpdateError> {
  try {
    return { ok: true, value: readUpdate(message) };
  } catch (error) {
    if (!(error instanceof UpdateFault)) throw error;
    return { ok: false, error: { rcode: error.rcode, message: error.message } };
  }
}

/**
 * An unsigned UPDATE message; with `edns` the server may say more about a refusal (RFC 8914).
 * @throws {RangeError} when it takes more than 65535 octets
 */
export function buildUpdate(
  request: UpdateRequest & { readonly id: number; readonly edns?: Edns | undefined },
): Uint8Array {
  const wire = buildMessage({
    ...EMPTY_MESSAGE,
    id: request.id,
    opcode: OPCODE.UPDATE,
    questions: [{ name: request.zone, type: RRTYPE.SOA, class: CLASS.IN }],
    answers: request.prerequisites.flatMap(prerequisiteRecords),
    authorities: request.operations.map(operationRecord),
    edns: request.edns,
  });
  // TC: something was left off, and half an update is another update.
  if ((wire[2] & 0x02) !== 0) throw new RangeError("the update takes more than 65535 octets; split it");
  return wire;
}

function readUpdate(message: Message): UpdateRequest {
  const [zone] = message.questions;
  if (message.opcode !== OPCODE.UPDATE || message.response) throw formErr("this is no UPDATE request");
  if (message.questions.length !== 1 || zone.type !== RRTYPE.SOA) {
    throw formErr("an update names one zone, with type SOA");
  }
  if (zone.class !== CLASS.IN) throw new UpdateFault(RCODE.NOTAUTH, "only zones of class IN are served");
  return {
    zone: zone.name,
    prerequisites: readPrerequisites(zone.name, message.answers),
    operations: message.authorities.map((record) => readOperation(zone.name, record)),
  };
}

/** RFC 2136 §2.4 and §3.2.5 */
function readPrerequisites(zone: Name, records: readonly ResourceRecord[]): Prerequisite[] {
  const prerequisites: Prerequisite[] = [];
  const values = new Map<string, Uint8Array[]>();
  for (const record of records) {
    const { owner, type } = record;
    if (record.ttl !== 0) throw formErr(`a prerequisite has TTL 0, and that for ${owner} has ${record.ttl}`);
    checkInZone(zone, owner);
    if (record.class === CLASS.ANY || record.class === CLASS.NONE) {
      if (record.rdata.length > 0) throw formErr(`a prerequisite without a value for ${owner} has data`);
      const wanted = record.class === CLASS.ANY;
      if (type === RRTYPE.ANY) {
        prerequisites.push({ kind: wanted ? "name-in-use" : "name-not-in-use", owner });
        continue;
      }
      checkDataType(record);
      prerequisites.push({ kind: wanted ? "rrset-exists" : "rrset-absent", owner, type });
    } else if (record.class === CLASS.IN) {
      checkDataType(record);
      checkRdata(record);
      const key = `${type} ${owner}`;
      const known = values.get(key);
      if (known !== undefined) {
        known.push(record.rdata);
      } else {
        const rdatas = [record.rdata];
        values.set(key, rdatas);
        prerequisites.push({ kind: "rrset-equals", owner, type, rdatas });
      }
    } else {
      throw formErr(`a prerequisite for ${owner} has class ${record.class}`);
    }
  }
  return prerequisites;
}

/** RFC 2136 §2.5 and §3.4.1.3 */
function readOperation(zone: Name, record: ResourceRecord): UpdateOperation {
  const { owner, type, rdata } = record;
  checkInZone(zone, owner);
  if (record.class === CLASS.IN) {
    checkDataType(record);
    checkRdata(record);
    return { kind: "add", record };
  }
  if (record.ttl !== 0) throw formErr(`a deletion has TTL 0, and that for ${owner} has ${record.ttl}`);
  if (record.class === CLASS.ANY) {
    if (rdata.length > 0) throw formErr(`the deletion of an RRset of ${owner} has data`);
    if (type === RRTYPE.ANY) return { kind: "delete-name", owner };
    checkDataType(record);
    return { kind: "delete-rrset", owner, type };
  }
  if (record.class === CLASS.NONE) {
    checkDataType(record);
    checkRdata(record);
    return { kind: "delete-record", owner, type, rdata };
  }
  throw formErr(`an update of ${owner} has class ${record.class}`);
}

function checkInZone(zone: Name, owner: Name): void {
  if (!isAtOrBelow(owner, zone)) throw new UpdateFault(RCODE.NOTZONE, `${owner} is not in ${zone}`);
}

function checkDataType({ owner, type }: ResourceRecord): void {
  if (isMetaType(type)) throw formErr(`${typeName(type)} at ${owner} is no type of data`);
}

function checkRdata({ owner, type, rdata }: ResourceRecord): void {
  if (!rdataIsValid(type, rdata)) throw formErr(`the data of ${typeName(type)} at ${owner} is malformed`);
}

function prerequisiteRecords(prerequisite: Prerequisite): ResourceRecord[] {
  const { owner } = prerequisite;
  const bare = { owner, ttl: 0, rdata: EMPTY };
  switch (prerequisite.kind) {
    case "name-in-use":
      return [{ ...bare, type: RRTYPE.ANY, class: CLASS.ANY }];
    case "name-not-in-use":
      return [{ ...bare, type: RRTYPE.ANY, class: CLASS.NONE }];
    case "rrset-exists":
      return [{ ...bare, type: prerequisite.type, class: CLASS.ANY }];
    case "rrset-absent":
      return [{ ...bare, type: prerequisite.type, class: CLASS.NONE }];
    case "rrset-equals":
      return prerequisite.rdatas.map((rdata) => ({
        ...bare,
        type: prerequisite.type,
        class: CLASS.IN,
        rdata,
      }));
  }
}

function operationRecord(operation: UpdateOperation): ResourceRecord {
  switch (operation.kind) {
    case "add":
      return operation.record;
    case "delete-rrset":
      return { owner: operation.owner, type: operation.type, class: CLASS.ANY, ttl: 0, rdata: EMPTY };
    case "delete-name":
      return { owner: operation.owner, type: RRTYPE.ANY, class: CLASS.ANY, ttl: 0, rdata: EMPTY };
    case "delete-record": {
      const { owner, type, rdata } = operation;
      return { owner, type, class: CLASS.NONE, ttl: 0, rdata };
    }
  }
}

const EMPTY = new Uint8Array(0);

function formErr(message: string): UpdateFault {
  return new UpdateFault(RCODE.FORMERR, message);
}

/** Leaves the nested readers; never the file. */
class UpdateFault extends Error {
  constructor(readonly rcode: number, message: string) {
    super(message);
  }
}
