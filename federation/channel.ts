import { type ChannelOptions, Client, credentials } from '@grpc/grpc-js';

/** How sites, operators and enrolling programs dial a coordinator. */

/**
 * HTTP/2 flow-control window of a stream and of a connection, at both ends. One window is in flight per round trip: 16 MiB
 * carry 160 MiB/s through 40 ms (8 MiB: 85, measured), and bound what a slow reader may pile up.
 */
export const WINDOW_BYTES = 16 * 2 ** 20;

/** The largest message either end accepts; a chunk is 1 MiB, a plan less. */
export const MAX_MESSAGE_BYTES = 8 * 2 ** 20;

/**
 * The one liveness interval: whoever says nothing for so long is taken for gone. Heartbeats (a third), the leader's lease (two
 * thirds) and the pings below are derived from it.
 */
export const LIVENESS_MILLIS = 15_000;

/**
 * A coordinator that hangs answers no ping, although its connections stay open: sites and operators notice within the
 * liveness interval. Also well below the 350 s after which load balancers forget an idle connection.
 */
const PING_MILLIS = LIVENESS_MILLIS / 3;
const PING_TIMEOUT_MILLIS = (LIVENESS_MILLIS * 2) / 3;

export interface ChannelCredentials {
  /** Every root that may have signed the coordinator's certificate. */
  readonly rootsPem: string;
  /** Own certificate first, then intermediates. Absent while enrolling. */
  readonly chainPem?: string;
  readonly keyPem?: string;
}

export interface ChannelSettings {
  /** `host:port`; the host must be a name or address in the coordinator's certificate. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Longest wait between attempts to connect. @default 2 s: after a change of leaders nobody waits longer */
  readonly maxReconnectMillis?: number;
}

const OPTIONS: ChannelOptions = {
  'grpc-node.flow_control_window': WINDOW_BYTES,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  'grpc.keepalive_time_ms': PING_MILLIS,
  'grpc.keepalive_timeout_ms': PING_TIMEOUT_MILLIS,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.min_reconnect_backoff_ms': 200,
  // Channels with other credentials in the same process must never share a connection.
  'grpc.use_local_subchannel_pool': 1,
  // Counts and traces of each call for a debugging service that nobody serves here.
  'grpc.enable_channelz': 0,
  // A retry would buffer every chunk; calls are resumed by offset instead.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // One name may stand for several coordinators: a new channel may find the one that leads.
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }] }),
};

/** Opens a channel; it connects with the first call and reconnects by itself. Close it with `close()`. */
export function openChannel({ address, credentials: own, maxReconnectMillis = 2000 }: ChannelSettings): Client {
  const roots = Buffer.from(own.rootsPem);
  const secure =
    own.chainPem === undefined || own.keyPem === undefined
      ? credentials.createSsl(roots)
      : credentials.createSsl(roots, Buffer.from(own.keyPem), Buffer.from(own.chainPem));
  return new Client(address, secure, { ...OPTIONS, 'grpc.max_reconnect_backoff_ms': maxReconnectMillis });
}
