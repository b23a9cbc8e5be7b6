/**
 * Something the user has to mend: wrong usage, bad configuration, a port in use, a folder that cannot be read.
 * Printed as its lines, without a stack, and the program ends with `exitCode`.
 */
export class CliError extends Error {
  override readonly name = "CliError";
  constructor(message: string, readonly exitCode: number = 2) {
    super(message);
  }
}

/** The sentence of anything thrown, on one line. */
export function sentence(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, " ");
}
