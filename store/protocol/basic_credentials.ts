/** The name and password of a Basic `Authorization` header (RFC 7617); `undefined` where there is none in that form. */
export function basicCredentials(
  request: Request,
): { readonly user: string; readonly password: string } | undefined {
  const match = /^basic ([A-Za-z0-9+/]+={0,2})$/i.exec(request.headers.get("authorization") ?? "");
  if (match === null) return undefined;
  try {
    const bytes = Uint8Array.from(atob(match[1]), (letter) => letter.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const colon = text.indexOf(":");
    return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
  } catch {
    return undefined; // Neither base64 nor UTF-8: not in that form.
  }
}
