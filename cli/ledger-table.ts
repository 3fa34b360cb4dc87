import { showBytes } from '../base/show-bytes';
import type { LedgerEntry } from '../federation/gen/federation/v1/federation_pb';
import { table } from './terminal';

/** A run's ledger for people (a table) and for spreadsheets (RFC 4180). */

export function ledgerTable(entries: readonly LedgerEntry[]): string {
  const heading = ['part', 'seconds', 'waiting', 'transfer', 'aggregation', 'evaluation', 'down', 'up'];
  const rows = entries.map((entry) => [
    partName(entry),
    ...secondsOf(entry).map((seconds) => seconds.toFixed(1)),
    showBytes(Number(entry.bytesToSites)),
    showBytes(Number(entry.bytesFromSites)),
    slowestSite(entry),
    showPeak(sitesPeak(entry)),
    showPeak(Number(entry.coordinatorPeakRssBytes)),
  ]);
  return table([[...heading, 'slowest site', 'peak of sites', 'of coordinator'], ...rows]);
}

export function ledgerCsv(entries: readonly LedgerEntry[]): string {
  const columns = [
    'part,round,seconds,waiting_seconds,transfer_seconds,aggregation_seconds,evaluation_seconds',
    'bytes_to_sites,bytes_from_sites,sites_peak_rss_bytes,coordinator_peak_rss_bytes',
  ];
  const rows = entries.map((entry) => [
    entry.part,
    entry.round,
    ...secondsOf(entry),
    entry.bytesToSites,
    entry.bytesFromSites,
    sitesPeak(entry),
    entry.coordinatorPeakRssBytes,
  ]);
  return [columns.join(), ...rows.map((row) => row.join())].map((line) => `${line}\r\n`).join('');
}

function partName({ part, round }: LedgerEntry): string {
  return part === 'round' || part === 'train-alone' ? `${part} ${round}` : part;
}

function secondsOf(entry: LedgerEntry): readonly number[] {
  const { seconds, waitingSeconds, transferSeconds, aggregationSeconds, evaluationSeconds } = entry;
  return [seconds, waitingSeconds, transferSeconds, aggregationSeconds, evaluationSeconds];
}

/** By the sites' own clocks. */
function slowestSite({ sites }: LedgerEntry): string {
  const [slowest] = sites.filter(({ seconds }) => seconds > 0).sort((a, b) => b.seconds - a.seconds);
  return slowest ? `${slowest.site} ${slowest.seconds.toFixed(1)} s` : '-';
}

function sitesPeak({ sites }: LedgerEntry): number {
  return Math.max(0, ...sites.map(({ peakRssBytes }) => Number(peakRssBytes)));
}

function showPeak(bytes: number): string {
  return bytes > 0 ? showBytes(bytes) : '-';
}
