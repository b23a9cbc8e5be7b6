/** primary: the room's only door. */
export {};
