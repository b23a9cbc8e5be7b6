/** acme: the room's only door. */
export {};
