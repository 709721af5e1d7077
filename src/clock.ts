/** Microseconds of the system's monotonic clock: unlike `performance.now()` it reads the same in every thread. */
export function microseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + nanoseconds / 1e3;
}
