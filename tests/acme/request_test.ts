import { equal, ok } from "node:assert/strict";
import { type Name, nameFrom } from "../../dns/mod.ts";
import { judgeRequest } from "../../acme/request/judge.ts";
import { parseRequest } from "../../acme/request/parse.ts";
import { generateKeyPem, generateRequest } from "../../acme/puller/request.ts";
import { derElement } from "../../acme/x509/der.ts";
import { toPem } from "../../acme/x509/pem.ts";
import { realTest, run } from "../tools/real.ts";
import { opensslRequest } from "./openssl.ts";

const HOST = nameFrom("x.example.test");
const SCOPE = nameFrom("example.test");

/** What openssl is asked to make, and the verdict. */
const TABLE: readonly {
  readonly title: string;
  readonly key: readonly string[];
  readonly subject?: string;
  readonly extensions?: readonly string[];
  readonly digest?: string;
  readonly host?: Name;
  readonly scope?: Name;
  readonly verdict: string;
}[] = [
  { title: "P-256 without extra names", key: ["EC", "ec_paramgen_curve:P-256"], verdict: "ok" },
  { title: "P-384", key: ["EC", "ec_paramgen_curve:P-384"], verdict: "ok", digest: "sha384" },
  { title: "RSA 2048", key: ["RSA", "rsa_keygen_bits:2048"], verdict: "ok" },
  { title: "RSA 1024", key: ["RSA", "rsa_keygen_bits:1024"], verdict: "key" },
  { title: "P-521", key: ["EC", "ec_paramgen_curve:P-521"], verdict: "key" },
  { title: "Ed25519", key: ["ED25519"], verdict: "key" },
  {
    title: "SHA-1 in the signature",
    key: ["RSA", "rsa_keygen_bits:2048"],
    digest: "sha1",
    verdict: "signature",
  },
  {
    title: "a wildcard beside its base",
    key: ["EC", "ec_paramgen_curve:P-256"],
    extensions: ["subjectAltName=DNS:x.example.test,DNS:*.x.example.test"],
    verdict: "ok",
  },
  {
    title: "names in the SAN extension alone",
    key: ["EC", "ec_paramgen_curve:P-256"],
    subject: "/",
    extensions: ["subjectAltName=DNS:X.example.TEST"],
    verdict: "ok",
  },
  {
    title: "must-staple",
    key: ["EC", "ec_paramgen_curve:P-256"],
    extensions: ["tlsfeature=status_request"],
    verdict: "must-staple",
  },
  {
    title: "an IP address",
    key: ["EC", "ec_paramgen_curve:P-256"],
    extensions: ["subjectAltName=DNS:x.example.test,IP:192.0.2.1"],
    verdict: "name-type",
  },
  {
    title: "a mail address",
    key: ["EC", "ec_paramgen_curve:P-256"],
    extensions: ["subjectAltName=DNS:x.example.test,email:a@example.test"],
    verdict: "name-type",
  },
  {
    title: "another extension",
    key: ["EC", "ec_paramgen_curve:P-256"],
    extensions: ["keyUsage=digitalSignature"],
    verdict: "extension",
  },
  {
    title: "two common names",
    key: ["EC", "ec_paramgen_curve:P-256"],
    subject: "/CN=x.example.test/CN=y.example.test",
    verdict: "subject",
  },
  {
    title: "a second common name in the same relative name",
    key: ["EC", "ec_paramgen_curve:P-256"],
    subject: "/CN=x.example.test+CN=evil.test",
    verdict: "subject",
  },
  {
    title: "a common name that is no host name",
    key: ["EC", "ec_paramgen_curve:P-256"],
    subject: "/CN=x_y.example.test",
    verdict: "name",
  },
  {
    title: "a common name of another zone hidden beside a good SAN",
    key: ["EC", "ec_paramgen_curve:P-256"],
    subject: "/CN=b.other.test",
    extensions: ["subjectAltName=DNS:x.example.test"],
    verdict: "scope",
  },
  {
    title: "an extra name outside the key's scope",
    key: ["EC", "ec_paramgen_curve:P-256"],
    extensions: ["subjectAltName=DNS:x.example.test,DNS:www.other.test"],
    verdict: "scope",
  },
  {
    title: "a sibling outside a narrow scope",
    key: ["EC", "ec_paramgen_curve:P-256"],
    extensions: ["subjectAltName=DNS:x.example.test,DNS:y.example.test"],
    scope: nameFrom("x.example.test"),
    verdict: "scope",
  },
  {
    title: "a wildcard above a narrow scope",
    key: ["EC", "ec_paramgen_curve:P-256"],
    extensions: ["subjectAltName=DNS:x.example.test,DNS:*.example.test"],
    scope: nameFrom("x.example.test"),
    verdict: "scope",
  },
  {
    title: "a host that it does not name",
    key: ["EC", "ec_paramgen_curve:P-256"],
    host: nameFrom("y.example.test"),
    verdict: "host",
  },
];

for (const row of TABLE) {
  realTest(
    `a request of openssl with ${row.title}: ${row.verdict}`,
    { needs: ["openssl"] },
    async ({ dir }) => {
      const der = await opensslRequest(dir, {
        key: row.key,
        subject: row.subject ?? "/CN=x.example.test",
        extensions: row.extensions ?? [],
        digest: row.digest,
      });
      const judged = judgeRequest({ host: row.host ?? HOST, der, keyScope: row.scope ?? SCOPE });
      equal(judged.ok ? "ok" : judged.error.code, row.verdict, judged.ok ? "" : judged.error.reason);
    },
  );
}

realTest("a request with one signed octet changed is refused", { needs: ["openssl"] }, async ({ dir }) => {
  const der = await opensslRequest(dir, {
    key: ["EC", "ec_paramgen_curve:P-256"],
    subject: "/CN=x.example.test",
    extensions: ["subjectAltName=DNS:x.example.test"],
  });
  equal(parseRequest(der).ok, true);
  const signed = derElement(der, 4 - (der[1] === 0x81 ? 1 : 0));
  ok(signed !== undefined && signed.end > 100);
  for (let at = signed.start; at < signed.end; at++) {
    const damaged = der.slice();
    damaged[at] ^= 0x01;
    equal(parseRequest(damaged).ok, false, `octet ${at}`);
  }
});

Deno.test("cut, padded, huge and deeply nested requests are refused without an exception", async () => {
  const der = await generateRequest(await generateKeyPem(), "x.example.test", []);
  equal(parseRequest(der).ok, true);
  for (let length = 0; length < der.length; length++) equal(parseRequest(der.subarray(0, length)).ok, false);
  equal(parseRequest(Uint8Array.from([...der, 0])).ok, false);
  const huge = parseRequest(new Uint8Array(20_000));
  equal(huge.ok ? "" : huge.error.code, "too-large");
  const nested = new Uint8Array(12_000).map((_, at) => at % 2 === 0 ? 0x30 : 0x80);
  equal(parseRequest(nested).ok, false);
});

realTest("openssl verifies the requests that we make", { needs: ["openssl"] }, async ({ dir }) => {
  const key = await generateKeyPem();
  await Deno.writeTextFile(`${dir}/key`, key);
  const keys = [key];
  for (
    const args of [["EC", "ec_paramgen_curve:P-384"], ["RSA", "rsa_keygen_bits:2048"]]
  ) {
    keys.push((await run("openssl", ["genpkey", "-algorithm", args[0], "-pkeyopt", args[1]])).stdout);
  }
  for (const pem of keys) {
    for (const sans of [[], ["*.x.example.test", "y.example.test"]]) {
      const der = await generateRequest(pem, "x.example.test", sans);
      await Deno.writeTextFile(`${dir}/req`, toPem("CERTIFICATE REQUEST", der));
      const { stdout, stderr } = await run("openssl", [
        "req",
        "-in",
        `${dir}/req`,
        "-verify",
        "-noout",
        "-text",
      ]);
      ok((stdout + stderr).includes("verify OK"), stderr);
      ok(stdout.includes("CN = x.example.test") || stdout.includes("CN=x.example.test"), stdout);
      equal(stdout.includes("Subject Alternative Name"), sans.length > 0);
      const parsed = parseRequest(der);
      equal(parsed.ok && parsed.value.names.join(), ["x.example.test", ...sans].join());
    }
  }
});
