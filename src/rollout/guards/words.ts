/** Numbers as findings say them: figures that tell enough, and no more. */

/** Anything below is as good as none. */
const LITTLE_EVIDENCE = 0.01;

/** `12,345` */
export function count(value: number): string {
  return String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

/** Three digits tell enough. */
function figure(value: number): string {
  return value < 1_000 ? String(Number(value.toPrecision(3))) : count(value);
}

export function percent(share: number): string {
  return `${figure(share * 100)} %`;
}

export function milliseconds(value: number): string {
  return `${figure(value)} ms`;
}

export function times(ratio: number): string {
  return `${figure(ratio)} times`;
}

export function weight(evidence: number, needed: number): string {
  const found = evidence < LITTLE_EVIDENCE ? `under ${LITTLE_EVIDENCE}` : figure(evidence);
  return `evidence ${found} of ${count(needed)}`;
}
