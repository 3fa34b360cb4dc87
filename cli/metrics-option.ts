import { Option } from 'commander';
import { DEFAULT_METRICS_ADDRESS, type MetricsAddress } from '../base/metrics-listener';
import { parseAddress } from './address';

/** `--metrics [host:port]` of the services: off unless asked for, and then for this machine only unless told otherwise. */
export function metricsOption(): Option {
  return new Option(
    '--metrics [host:port]',
    `serve figures for Prometheus over plain HTTP (without an address: ${DEFAULT_METRICS_ADDRESS}; default: off)`,
  );
}

/** @param given what commander makes of the option: true without a value */
export function metricsAddress(given: string | true | undefined): MetricsAddress | undefined {
  return given === undefined ? undefined : parseAddress(given === true ? DEFAULT_METRICS_ADDRESS : given);
}
