import type { Price } from "../../billing/price.ts";
import { dollarsText } from "./dollars.ts";

/** `*`, `minilm`, `minilm 3 at the origin` */
export function scopeText({ model, version, placement }: Price): string {
  return [
    model === "*" ? "every model" : model,
    ...(version === undefined ? [] : [`version ${version}`]),
    ...(placement === undefined ? [] : [`at the ${placement}`]),
  ].join(" ");
}

/** Per request and per unit, with what is free, and what costs less later in the month. */
export function ratesText({ perRequest, perUnit, free = {}, tiers = {} }: Price): string {
  const units = Object.entries(perUnit).map(([unit, each]) => {
    const exempt = free[unit] === undefined ? "" : `, the first ${free[unit]} free`;
    const steps = (tiers[unit] ?? []).map(
      (tier) => `, above ${tier.above} ${dollarsText(tier.perUnit)}`,
    );
    return `${dollarsText(each)} per unit of ${unit}${exempt}${steps.join("")}`;
  });
  const all = [...(perRequest === 0 ? [] : [`${dollarsText(perRequest)} per request`]), ...units];
  return all.length === 0 ? "nothing" : all.join("; ");
}
