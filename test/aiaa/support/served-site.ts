import assert from 'node:assert/strict';
import type { AnnotationServer, AnnotationServerOptions } from '../../../aiaa/server';
import { exchange, jsonOf, type RawReply } from './raw-http';
import { Site } from './server';

/** A site and a server for all tests of a suite. */
export interface ServedSite {
  readonly site: Site;
  readonly server: AnnotationServer;
  send(request: Buffer): Promise<RawReply>;
  /** Sends, and reads a good answer. */
  json<T>(request: Buffer): Promise<T>;
}

/** To be called in a `describe`: there from its first test to its last. */
export function servedSite(
  options: Partial<AnnotationServerOptions> = {},
  prepare: (site: Site) => Promise<unknown> = (site) => site.publish(),
): ServedSite {
  let site: Site;
  let server: AnnotationServer;
  before(async () => {
    site = await Site.make();
    await prepare(site);
    server = await site.serve(options);
  });
  after(() => site?.clear());
  const send = (request: Buffer) => exchange(server.port, request);
  return {
    get site() {
      return site;
    },
    get server() {
      return server;
    },
    send,
    async json<T>(request: Buffer) {
      const reply = await send(request);
      assert.equal(reply.status, 200, reply.body.toString('utf8').slice(0, 300));
      return jsonOf(reply) as T;
    },
  };
}
