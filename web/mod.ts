/** web: the room's only door. */
export {};
