/** What a client asks of receive-pack (gitprotocol-pack "Reference Update Request"), packet by packet; pure. */
import { parseOid } from "../object/oid.ts";
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import { ZERO_OID } from "./advertisement.ts";
import { type Capabilities, parseCapabilityLine } from "./capabilities.ts";
import { lineOf, type Pkt } from "./pkt_line.ts";

/** One ref to change, as the client wrote it: nothing about the name is checked yet. */
export interface PushCommand {
  readonly name: string;
  readonly old: Oid | undefined;
  readonly new: Oid | undefined;
}

export interface PushRequest {
  readonly commands: readonly PushCommand[];
  readonly capabilities: Capabilities;
  readonly pushOptions: readonly string[];
  /** Commits whose parents the client does not have itself. */
  readonly shallow: ReadonlySet<Oid>;
}

export class PushRequestReader {
  readonly #commands: PushCommand[] = [];
  readonly #options: string[] = [];
  readonly #shallow = new Set<Oid>();
  #capabilities: Capabilities = new Map();
  #readsOptions = false;
  #bytes = 0;

  constructor(readonly limits: { readonly commands: number; readonly requestBytes: number }) {}

  /** True until the first packet of a request: the client may still leave. */
  get idle(): boolean {
    return this.#bytes === 0;
  }

  /** Known from the first line on, so that a fault further down can be said in the client's way. */
  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** The request when it is complete. One without commands means that the client had nothing to push. */
  feed(pkt: Pkt): PushRequest | undefined {
    if (pkt.kind === "flush") {
      if (!this.#readsOptions && this.#commands.length > 0 && this.#capabilities.has("push-options")) {
        this.#readsOptions = true;
        return undefined;
      }
      return {
        commands: this.#commands,
        capabilities: this.#capabilities,
        pushOptions: this.#options,
        shallow: this.#shallow,
      };
    }
    if (pkt.kind !== "data") throw new StoreError("protocol", `a ${pkt.kind} packet in a push`);
    this.#bytes += pkt.payload.length + 4;
    if (this.#bytes > this.limits.requestBytes) {
      throw new StoreError("limit", `a push whose commands take more than ${this.limits.requestBytes} bytes`);
    }
    const line = lineOf(pkt.payload);
    if (line === undefined) throw new StoreError("protocol", "a line in a push that is not UTF-8");
    if (this.#readsOptions) this.#options.push(line);
    else this.#command(line);
    return undefined;
  }

  #command(line: string): void {
    const nul = line.indexOf("\0");
    if (nul >= 0 && this.#commands.length === 0) {
      this.#capabilities = parseCapabilityLine(line.slice(nul + 1));
    }
    const text = nul < 0 ? line : line.slice(0, nul);
    if (text.startsWith("shallow ")) {
      const oid = parseOid(text.slice(8));
      if (oid === undefined || this.#commands.length > 0) {
        throw new StoreError("protocol", "a shallow line out of place in a push");
      }
      this.#shallow.add(oid);
      return;
    }
    if (text.startsWith("push-cert")) throw new StoreError("protocol", "signed pushes are not supported");
    const old = parseOid(text.slice(0, 40));
    const new_ = parseOid(text.slice(41, 81));
    if (old === undefined || new_ === undefined || text[40] !== " " || text[81] !== " " || text.length < 83) {
      throw new StoreError("protocol", `not a command of a push: ${JSON.stringify(text.slice(0, 200))}`);
    }
    if (this.#commands.length >= this.limits.commands) {
      throw new StoreError("limit", `a push of more than ${this.limits.commands} refs`);
    }
    this.#commands.push({ name: text.slice(82), old: present(old), new: present(new_) });
  }
}

function present(oid: Oid): Oid | undefined {
  return oid === ZERO_OID ? undefined : oid;
}
