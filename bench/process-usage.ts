import { readFileSync } from 'node:fs';

/** Clock ticks a second in /proc (USER_HZ is 100 on every Linux that Node runs on). */
const TICKS = 100;

export interface Usage {
  readonly cpuSeconds: number;
  /** Of children that have ended. */
  readonly endedCpuSeconds: number;
  readonly rssMiB: number;
  readonly peakRssMiB: number;
}

/** What a running process has used so far, from proc(5). */
export function usageOf(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS,
    endedCpuSeconds: (Number(fields[13]) + Number(fields[14])) / TICKS,
    rssMiB: mib('VmRSS'),
    peakRssMiB: mib('VmHWM'),
  };
}

/** What a process and its children have used, those that were replaced meanwhile among them. */
export function usageWithChildren(pid: number): Pick<Usage, 'cpuSeconds' | 'rssMiB'> {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  const own = usageOf(pid);
  const living = children.map((child) => usageOf(Number(child)));
  return {
    cpuSeconds: living.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, own.cpuSeconds + own.endedCpuSeconds),
    rssMiB: living.reduce((sum, { rssMiB }) => sum + rssMiB, own.rssMiB),
  };
}

/** What this process has used since `before`, of `process.cpuUsage()`. */
export function cpuSecondsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Load of the machine beside the benchmark, as the kernel averages it over a minute. */
export function loadAverage(): number {
  return Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
}
