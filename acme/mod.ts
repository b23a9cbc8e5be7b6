/** acme: requests, policy, certificate authorities, the provisioner, the puller. The room's only door. */

// certificates in DNS
export { hostOf, ownerOf, readTlsa, TLSA_TTL } from "./record/tlsa.ts";
export type { CertificateRecords } from "./record/tlsa.ts";
export { decodeState, encodeState, STATE_TTL } from "./record/state.ts";
export type { CertificateState } from "./record/state.ts";
export { matches, orderChain, parseCertificate } from "./x509/certificate.ts";
export type { Certificate } from "./x509/certificate.ts";

// requests and the policy for updates
export { parseRequest } from "./request/parse.ts";
export type { CertificateRequest } from "./request/parse.ts";
export { judgeRequest, withinHost } from "./request/judge.ts";
export type { RequestRefusal, RequestRefusalCode, RequestToJudge } from "./request/judge.ts";
export { createUpdateJudge } from "./policy/update.ts";
export type {
  UpdateJudge,
  UpdateJudgement,
  UpdateJudgeOptions,
  UpdateView,
  UpdatingKey,
} from "./policy/update.ts";

// authorities
export { problemText } from "./authority/authority.ts";
export type {
  Authorization,
  CertificateAuthority,
  Challenge,
  Order,
  Problem,
} from "./authority/authority.ts";
export { acmeAuthority } from "./authority/acme.ts";
export type { Account, AccountStore, AcmeAuthorityOptions } from "./authority/acme.ts";
export { localAuthority } from "./authority/local.ts";
export type { LocalAuthorityOptions } from "./authority/local.ts";
export { generateLocalRoot, loadLocalRoot } from "./authority/root.ts";
export type { LocalRoot, LocalRootFiles } from "./authority/root.ts";

// the provisioner
export { createProvisioner } from "./provisioner/provisioner.ts";
export type { Provisioner, ProvisionerOptions } from "./provisioner/provisioner.ts";
export type { CertificatePrimary, Ledger, ProvisionerLog, Wait } from "./provisioner/interfaces.ts";
export type { Job, Phase } from "./provisioner/job.ts";
export { needsRenewal, PUBLIC_BUDGET, renewalAt } from "./provisioner/schedule.ts";
export type { IssueBudget } from "./provisioner/schedule.ts";

// the puller
export { obtainCertificate, requestOperations } from "./puller/obtain.ts";
export type {
  ObtainOptions,
  ObtainOutcome,
  PullerClient,
  PullerClientError,
  PullerFiles,
} from "./puller/obtain.ts";
