/** `996 B`, `1.2 kB`, `23.5 MB`: powers of 1000, as disks and bills have them. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  // What would round up to 1000.0 kB is a megabyte.
  if (bytes < 999_950) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
