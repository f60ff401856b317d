/** Blocks of IPv4 that are nobody's public address: IANA's special-purpose registry (RFC 6890), multicast and reserved. */
const PRIVATE_V4: readonly (readonly [base: string, prefixBits: number])[] = [
  ["0.0.0.0", 8], // this host
  ["10.0.0.0", 8], // RFC 1918
  ["100.64.0.0", 10], // carrier-grade NAT, and Alibaba's metadata
  ["127.0.0.0", 8], // loopback
  ["168.63.129.16", 32], // Azure's wire server: public by number, reached only from inside
  ["169.254.0.0", 16], // link-local, and the metadata of most clouds
  ["172.16.0.0", 12], // RFC 1918
  ["192.0.0.0", 24], // protocol assignments, and Oracle's metadata
  ["192.0.2.0", 24], // documentation
  ["192.168.0.0", 16], // RFC 1918
  ["198.18.0.0", 15], // benchmarks
  ["198.51.100.0", 24], // documentation
  ["203.0.113.0", 24], // documentation
  ["224.0.0.0", 3], // multicast, reserved, broadcast
];

/** Names that resolve inside only: RFC 6761, 6762, 8375, and those that ICANN keeps out of the root. */
const PRIVATE_SUFFIXES = [
  "localhost",
  "localdomain",
  "local",
  "internal",
  "intranet",
  "private",
  "home.arpa",
  "home",
  "corp",
  "lan",
];

/**
 * Whether a URL points into a private network: loopback, RFC 1918, link-local, CGNAT, unique local IPv6, IPv4
 * inside IPv6, names that resolve inside only, metadata services. What is not an http(s) URL counts as private,
 * so that what can't be judged is refused.
 *
 * A public name whose DNS record is a private address can't be seen from a Worker, which resolves no names before
 * it connects. In production Cloudflare's network is in between and has no route to private addresses; elsewhere
 * the network must refuse them.
 *
 * @example
 * isPrivateAddress("http://0x7f.1/"); // true: the URL parser knows every way to write 127.0.0.1
 */
export function isPrivateAddress(url: string | URL): boolean {
  const parsed = URL.parse(String(url));
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return true;
  const host = parsed.hostname.replace(/\.+$/, "");
  if (host.startsWith("[")) return isPrivateV6(groupsOf(host.slice(1, -1)));
  const v4 = numberOfV4(host);
  return v4 === undefined ? isPrivateName(host) : isPrivateV4(v4);
}

/** A name without a dot is completed by the machine's search domain. */
function isPrivateName(host: string): boolean {
  return !host.includes(".") || PRIVATE_SUFFIXES.some((suffix) => host.endsWith(`.${suffix}`));
}

function numberOfV4(host: string): number | undefined {
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(host)) return undefined;
  return host.split(".").reduce((number, part) => number * 256 + Number(part), 0);
}

function isPrivateV4(address: number): boolean {
  return PRIVATE_V4.some(([base, prefixBits]) => {
    const block = 2 ** (32 - prefixBits);
    return Math.floor(address / block) === Math.floor((numberOfV4(base) ?? 0) / block);
  });
}

function numbers(groups: string): number[] {
  return groups === "" ? [] : groups.split(":").map((group) => Number.parseInt(group, 16));
}

/** The eight groups of what the URL parser made canonical: hexadecimal, at most one `::`, no dotted end. */
function groupsOf(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const first = numbers(head);
  const last = numbers(tail ?? "");
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
}

function isPrivateV6(groups: readonly number[]): boolean {
  const [first = 0, second = 0] = groups;
  const v4At = (at: number): number => (groups[at] ?? 0) * 65_536 + (groups[at + 1] ?? 0);
  const zeros = (from: number, to: number): boolean => groups.slice(from, to).every((g) => g === 0);
  // ::/96 (unspecified, loopback, IPv4-compatible), ::ffff:0:0/96 and ::ffff:0:0:0/96 (IPv4-mapped, translated)
  if (zeros(0, 6)) return true;
  if (zeros(0, 5) && groups[5] === 0xffff) return isPrivateV4(v4At(6));
  if (zeros(0, 4) && groups[4] === 0xffff && groups[5] === 0) return isPrivateV4(v4At(6));
  // NAT64, 6to4 and Teredo carry an IPv4 address of their own.
  if (first === 0x64 && second === 0xff9b) return !zeros(2, 6) || isPrivateV4(v4At(6));
  if (first === 0x2002) return isPrivateV4(v4At(1));
  // Teredo, documentation, and then all that is not global unicast: fc00::/7, fe80::/10, ff00::/8.
  if (first === 0x2001 && (second === 0 || second === 0xdb8)) return true;
  return first < 0x2000 || first > 0x3fff;
}
