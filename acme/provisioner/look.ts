/** What stands in DNS for a host, as the core wants to know it. Pure. */
import type { Name, RRset } from "../../dns/mod.ts";
import { toBase64 } from "../record/bytes.ts";
import { hostOf, readTlsa } from "../record/tlsa.ts";
import { judgeRequest } from "../request/judge.ts";
import { type Certificate, matches, parseCertificate } from "../x509/certificate.ts";
import type { Need } from "./step.ts";

/** Whether this provisioner serves those names at that host at all. */
export type Permit = (host: Name, names: readonly string[]) => boolean;

export function look(owner: Name, rrset: RRset | undefined, now: number, permit: Permit): Need {
  const { requests, leafs, cas } = readTlsa(rrset);
  const certificates = leafs.flatMap((der) => {
    const parsed = parseCertificate(der);
    return parsed.ok ? [parsed.value] : [];
  });
  const published = leafs.length + cas.length > 0;
  const refuse = (refusal: string): Need => ({
    request: undefined,
    refusal,
    leaf: latest(certificates),
    published,
  });
  const host = hostOf(owner);
  const [der] = requests;
  if (host === undefined || der === undefined) {
    return { request: undefined, refusal: undefined, leaf: latest(certificates), published };
  }
  if (requests.length > 1) return refuse(`${requests.length} requests stand at ${owner}; one is served`);
  const judged = judgeRequest({ host, der, keyScope: undefined });
  if (!judged.ok) return refuse(judged.error.reason);
  const { names } = judged.value;
  if (!permit(host, names)) return refuse(`this provisioner does not serve ${names.join(", ")} at ${host}`);
  return {
    request: { der: toBase64(der), names },
    refusal: undefined,
    leaf: latest(certificates.filter((each) => matches(each, judged.value, now))),
    published,
  };
}

function latest(certificates: readonly Certificate[]): Certificate | undefined {
  return certificates.reduce<Certificate | undefined>(
    (best, each) => best === undefined || each.notAfter > best.notAfter ? each : best,
    undefined,
  );
}
