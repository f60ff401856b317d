import { SignatureErrorCode, isSignatureError } from "http-message-sig";

/** Every reason for a refusal, in words for the operator who looks for it in a log. */
export const REFUSALS = {
  unsigned: "The request carries no signature of Nearside's.",
  malformed: "The signature, the digest or the request can't be read.",
  incomplete: "The signature does not cover, or say, all that it must.",
  wrong_algorithm: "The signature names an algorithm other than Ed25519.",
  wrong_authority: "The request is meant for another host.",
  unknown_key: "The signature names a key that this origin does not trust.",
  not_yet_valid: "The signature was made in the future: compare the clocks.",
  expired: "The signature has expired: compare the clocks.",
  lifetime_too_long: "The signature claims to live for longer than this origin remembers.",
  bad_signature: "The signature is not that of this request.",
  digest_mismatch: "The body is not the one that was signed.",
  replayed: "The request was accepted before.",
  replay_memory_full: "More requests came than this origin can remember.",
} as const;

export type RefusalReason = keyof typeof REFUSALS;

/** Ends a verification; the verifier turns it into its verdict. */
export class Refusal extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * The reason why a verification ended.
 *
 * @throws what is no refusal: the body could not be read, a key not imported
 */
export function refusalReasonOf(error: unknown): RefusalReason {
  if (error instanceof Refusal) return error.reason;
  if (!isSignatureError(error)) throw error;
  switch (error.code) {
    case SignatureErrorCode.ResolverFailed:
      return refusalReasonOf(error.cause);
    case SignatureErrorCode.VerificationFailed:
    // Something is covered that is not there any more.
    case SignatureErrorCode.MissingField:
      return "bad_signature";
    case SignatureErrorCode.PolicyViolation:
      return "wrong_algorithm";
    default:
      return "malformed";
  }
}
