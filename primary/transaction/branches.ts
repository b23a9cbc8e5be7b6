/** The people's branch. */
export const MAIN = "refs/heads/main";
/** The server's branch. */
export const MACHINE = "refs/heads/machine";
/** Refs the server keeps for itself. */
export const OWN_REFS = "refs/bailiwick/";
