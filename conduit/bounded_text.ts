const DIAGNOSTIC_BYTES = 64 * 1024;

/** The last 64 KiB of a text that may be endless: what went wrong is said last. */
export function boundedText(): { add(bytes: Uint8Array): void; text(): string } {
  const decoder = new TextDecoder();
  let text = "";
  return {
    add(bytes) {
      text = (text + decoder.decode(bytes, { stream: true })).slice(-DIAGNOSTIC_BYTES);
    },
    text: () => text,
  };
}
