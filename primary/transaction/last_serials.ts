import { type Name, serialGreater } from "../../dns/mod.ts";
import type { Person, Repository, SignPayload, StoreError } from "../../store/mod.ts";
import type { Log } from "../primary.ts";
import { readSerialNotes, SERIALS_REF, writeSerialNotes } from "../state/serial_notes.ts";
import type { State } from "../state/state.ts";

/**
 * Of the database and the notes in the repository, the higher: a serial never falls.
 * @returns besides, why notes could not be read
 */
export async function lastSerials(
  repository: Repository,
  rows: ReadonlyMap<Name, { readonly serial: number }>,
): Promise<{ serials: Map<Name, number>; fault: StoreError | undefined }> {
  const notes = await repository.refs.get(SERIALS_REF);
  let fault: StoreError | undefined;
  const serials = notes === undefined
    ? new Map<Name, number>()
    : await readSerialNotes(repository, notes, (error) => fault ??= error);
  for (const [zone, { serial }] of rows) {
    const noted = serials.get(zone);
    if (noted === undefined || serialGreater(serial, noted)) serials.set(zone, serial);
  }
  return { serials, fault };
}

/**
 * Notes that cannot be read are made anew of what the database knows: they are built upon at the next change, and no
 * upstream has them.
 */
export async function mendSerialNotes(
  context: {
    readonly repository: Repository;
    readonly state: State;
    readonly log: Log;
    readonly person: Person;
    readonly sign: SignPayload | undefined;
  },
): Promise<void> {
  const { repository, state, log, person, sign } = context;
  const { serials, fault } = await lastSerials(repository, state.zones());
  if (fault === undefined) return;
  const old = await repository.refs.get(SERIALS_REF);
  const notes = await writeSerialNotes(repository, undefined, serials, person, sign);
  await repository.sync();
  const moved = await repository.refs.move({ name: SERIALS_REF, old, new: notes });
  const outcome = moved.ok ? "they are noted anew from the database" : moved.error.message;
  log.error(`the serials noted at ${SERIALS_REF} cannot be read (${fault.message}); ${outcome}`);
}
