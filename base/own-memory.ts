/** Largest resident memory of this process so far, in bytes (getrusage(2), which counts KiB on Linux, as Node does everywhere). */
export function ownPeakRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
