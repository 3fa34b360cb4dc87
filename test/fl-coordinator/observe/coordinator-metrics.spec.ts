import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { startMetricsListener } from '../../../base/metrics-listener';
import { CoordinatorMetrics, type MetricsSources } from '../../../fl-coordinator/observe/coordinator-metrics';
import { watchedStore } from '../../../fl-coordinator/observe/watched-store';
import { type DirectoryStore, openDirectoryStore } from '../../../fl-coordinator/storage/directory-store';
import { readAll } from '../../../fl-coordinator/storage/object-store';
import { parseExposition, seriesValue } from '../../support/exposition';
import { rejectsWith } from '../api/support/rejects';
import { DIGEST, Story } from '../runs/story';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const TRAIN = { kind: 'train', round: 1 } as const;

function metricsOf(more: Partial<MetricsSources> = {}): CoordinatorMetrics {
  return new CoordinatorMetrics({
    runs: () => [],
    connectedSites: () => 0,
    certificates: () => ({}),
    siteCertificates: () => [],
    now: () => NOW,
    ...more,
  });
}

const scraped = async (metrics: CoordinatorMetrics) => parseExposition(await metrics.metrics());

describe('the metrics of a coordinator', () => {
  it('count runs by state and give the age of the oldest open stage', async () => {
    const waiting = new Story({}, ['a', 'b']);
    const training = new Story({ initialModel: { from: 'trainer' } }, ['a', 'b']);
    training.approveAll();
    training.answerAll();
    const aborted = new Story({}, ['a']);
    aborted.approveAll();
    aborted.command({ kind: 'abort', operator: 'ada', reason: 'no' });
    const [paused, over] = [new Story({}, ['a']), new Story({}, ['a'])];
    for (const story of [paused, over]) {
      story.approveAll();
      const until = '2026-01-02T00:00:00.000Z';
      story.command({ kind: 'pause', operator: 'ada', reason: 'a new scanner', until });
    }
    over.command({ kind: 'abort', operator: 'ada', reason: 'no' });
    const runs = [waiting, training, aborted, paused, over].map(({ state }) => state);
    const now = Date.parse(training.state.open!.openedAt) + 90_000;
    const families = await scraped(metricsOf({ runs: () => runs, now: () => now }));
    const counts = { submitted: 1, running: 1, paused: 1, aborted: 2, failed: 0, completed: 0 };
    for (const [state, count] of Object.entries(counts)) {
      assert.equal(seriesValue(families, 'clara_runs', { state }), count, state);
    }
    assert.equal(seriesValue(families, 'clara_open_stage_age_seconds', { stage: 'train' }), 90);
    assert.equal(seriesValue(families, 'clara_open_stage_age_seconds', { stage: 'evaluate' }), 0);
  });

  it('follow events, bytes and certificates', async () => {
    const metrics = metricsOf({
      connectedSites: () => 3,
      certificates: () => ({ server: new Date(NOW + 12.5 * 86400e3) }),
      siteCertificates: () => [{ site: 'a', certificateEnds: '2025-12-31T00:00:00Z' }, { site: 'b' }],
    });
    metrics.appended({ type: 'update-rejected', stage: TRAIN, site: 'a', reason: 'NaN' }, 0.004);
    metrics.appended({ type: 'site-lost', stage: TRAIN, site: 'b', reason: 'gone' }, 0.2);
    metrics.appended({ type: 'site-lost', stage: TRAIN, site: 'c', reason: 'gone' }, 0.2);
    metrics.appended({ type: 'model-published', round: 0, digest: DIGEST, bytes: 1, seconds: 100 }, 0.2);
    metrics.appended({ type: 'model-published', round: 1, digest: DIGEST, bytes: 1, seconds: 3 }, 0.2);
    metrics.moved('a', 'to-site', 100);
    metrics.moved('a', 'to-site', 20);
    metrics.moved('b', 'from-site', 7);
    const families = await scraped(metrics);
    assert.equal(seriesValue(families, 'clara_updates_total', { outcome: 'accepted' }), 0);
    assert.equal(seriesValue(families, 'clara_updates_total', { outcome: 'rejected' }), 1);
    assert.equal(seriesValue(families, 'clara_updates_total', { outcome: 'lost' }), 2);
    assert.equal(seriesValue(families, 'clara_event_append_seconds_count'), 5);
    assert.equal(seriesValue(families, 'clara_event_append_seconds_bucket', { le: '0.005' }), 1);
    assert.deepEqual(
      [
        seriesValue(families, 'clara_aggregation_seconds_count'),
        seriesValue(families, 'clara_aggregation_seconds_sum'),
      ],
      [1, 3],
      'copying the first weights is no aggregation',
    );
    assert.equal(seriesValue(families, 'clara_bytes_total', { site: 'a', direction: 'to-site' }), 120);
    assert.equal(seriesValue(families, 'clara_bytes_total', { site: 'b', direction: 'from-site' }), 7);
    assert.equal(seriesValue(families, 'clara_sites_connected'), 3);
    assert.equal(seriesValue(families, 'clara_certificate_days_left', { certificate: 'server' }), 12.5);
    assert.equal(seriesValue(families, 'clara_site_certificate_days_left', { site: 'a' }), -1);
    assert.throws(() => seriesValue(families, 'clara_site_certificate_days_left', { site: 'b' }));
    assert.equal(families.get('clara_updates_total')!.type, 'counter');
    assert.ok(seriesValue(families, 'process_resident_memory_bytes') > 1e7);
  });

  it('has a bounded number of series, however many sites there are', async () => {
    const metrics = metricsOf();
    for (let site = 0; site < 3000; site++) metrics.moved(`site-${site}`, 'to-site', 1);
    const { samples } = (await scraped(metrics)).get('clara_bytes_total')!;
    assert.equal(samples.length, 1001);
    assert.equal(samples.find(({ labels }) => labels.site === 'other')?.value, 2000);
  });

  it('counts failures of the store, and no answers', async () => {
    const metrics = metricsOf();
    metrics.storeFailed('put', 'out-of-space');
    metrics.storeFailed('get', 'not-found');
    metrics.storeFailed('putIfAbsent', 'precondition-failed');
    const { samples } = (await scraped(metrics)).get('clara_store_errors_total')!;
    assert.deepEqual(
      samples.map(({ labels, value }) => ({ ...labels, value })),
      [{ operation: 'put', code: 'out-of-space', value: 1 }],
    );
  });
});

describe('the listener of metrics', () => {
  it('answers GET /health with what the service says of itself', async () => {
    let status: 'ok' | 'failing' = 'ok';
    const health = () => ({ status, detail: 'The coordinator leads.' });
    const listener = await startMetricsListener({ host: '127.0.0.1', port: 0 }, metricsOf(), health);
    try {
      const ask = () => fetch(`http://${listener.address}/health`);
      const well = await ask();
      assert.equal(well.status, 200);
      assert.deepEqual(await well.json(), health());
      status = 'failing';
      assert.equal((await ask()).status, 503);
    } finally {
      await listener.close();
    }
  });

  it('answers GET /metrics and nothing else, on the address that it was given', async () => {
    const listener = await startMetricsListener({ host: '127.0.0.1', port: 0 }, metricsOf());
    try {
      const url = `http://${listener.address}`;
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
      const answer = await fetch(`${url}/metrics`);
      assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
      assert.equal(seriesValue(parseExposition(await answer.text()), 'clara_sites_connected'), 0);
      assert.equal((await fetch(`${url}/`)).status, 404);
      assert.equal((await fetch(`${url}/metrics`, { method: 'POST', body: 'x' })).status, 405);
      await assert.rejects(
        startMetricsListener({ host: '127.0.0.1', port: Number(new URL(url).port) }, metricsOf()),
        /choose another --metrics address/,
      );
    } finally {
      await listener.close();
    }
  });

  it('says that the figures cannot be read when their source fails, and goes on', async () => {
    const source = { contentType: 'text/plain', metrics: () => Promise.reject(new Error('secret detail')) };
    const listener = await startMetricsListener({ host: '127.0.0.1', port: 0 }, source);
    try {
      for (let again = 0; again < 2; again++) {
        const answer = await fetch(`http://${listener.address}/metrics`);
        assert.equal(answer.status, 500);
        assert.ok(!(await answer.text()).includes('secret'));
      }
    } finally {
      await listener.close();
    }
  });
});

describe('a watched store', () => {
  let folder: string;
  let opened: DirectoryStore;
  const seen: string[] = [];
  let store: DirectoryStore;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'clara-watched-'));
    opened = await openDirectoryStore(folder);
    seen.length = 0;
    store = watchedStore(opened, (operation, code) => seen.push(`${operation} ${code}`));
  });
  afterEach(async () => {
    await opened.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('is the store, in all that it answers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (bytes) => {
        const info = await store.put('a/b', bytes);
        assert.deepEqual(info, await opened.head('a/b'));
        assert.deepEqual(await readAll(store, 'a/b', 1000), Buffer.from(bytes));
        const reader = await store.openForRanges('a/b');
        const target = new Uint8Array(bytes.length);
        await reader.read(0, target);
        await reader.close();
        assert.deepEqual(target, bytes);
        const upload = await store.resumeUpload('up', { size: bytes.length });
        await upload.append(bytes);
        assert.equal(await upload.checkpoint(), bytes.length);
        await upload.complete();
        const writer = await store.create('written');
        await writer.write(bytes);
        await writer.finish();
        assert.deepEqual(await readAll(opened, 'written', 1000), Buffer.from(bytes));
        assert.deepEqual(seen, []);
      }),
      { numRuns: 10 },
    );
  });

  it('tells what failed, of the store and of what it handed out, and fails all the same', async () => {
    await rejectsWith('not-found', store.head('none'), 'none');
    const upload = await store.resumeUpload('up', { size: 2 });
    await rejectsWith('invalid-input', upload.append(Buffer.from('too long')));
    await upload.discard();
    assert.deepEqual(seen, ['head not-found', 'append invalid-input']);
  });
});
