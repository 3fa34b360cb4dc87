/**
 * Whole milliseconds since 1970 that neither jump nor go back, whoever sets the machine's clock: its time when this process began,
 * carried on by a monotonic clock (which stands still while the machine is suspended). For how long something may take. What
 * other machines judge, such as the life of a certificate, goes by the machine's clock.
 */
export function steadyNow(): number {
  return Math.floor(performance.timeOrigin + performance.now());
}
