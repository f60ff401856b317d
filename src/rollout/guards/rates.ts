export function rateOf(bad: number, total: number): number {
  return total > 0 ? bad / total : 0;
}

export function shareOf(candidate: number, baseline: number): number {
  return rateOf(candidate, candidate + baseline);
}
