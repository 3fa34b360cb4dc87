import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseExposition, seriesValue } from '../support/exposition';
import { Federation } from '../support/federation';
import { Program } from '../support/program';

const scrape = async (address: unknown) => {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  return { text, families: parseExposition(text) };
};

describe('metrics of real processes', () => {
  let federation: Federation;
  let agent: Program | undefined;

  before(async () => {
    federation = await Federation.start(['a']);
  });
  after(async () => {
    await agent?.stop();
    await federation?.stop();
  });

  it('are off unless asked for, and follow a run at the coordinator and at a site', async () => {
    const off = federation.coordinator.records.find(({ event }) => event === 'ready')!;
    assert.equal(off.metrics, undefined);
    await federation.coordinator.stop();
    const workspace = ['--workspace', path.join(federation.folder, 'coordinator')];
    const ports = ['--listen', `127.0.0.1:${federation.port}`, '--enrolment', '127.0.0.1:0'];
    const started = ['coordinator', 'start', ...workspace, ...ports, '--metrics', '127.0.0.1:0', '--json'];
    federation.coordinator = new Program(started);
    const ready = await federation.coordinator.record(({ event }) => event === 'ready', 'the coordinator is ready');
    await federation.addSite('b');
    agent = new Program([
      'site',
      'start',
      '--config',
      federation.configurationOf('b'),
      '--metrics',
      '127.0.0.1:0',
      '--json',
    ]);
    const { address } = await agent.record(({ event }) => event === 'metrics', 'the site serves figures');
    await agent.record(({ event }) => event === 'ready', 'the site is connected');

    const run = await federation.submit({ rounds: 2 });
    const view = await federation.outcomeOf(run);
    assert.equal(view.summary!.state, 'completed', view.summary!.reason);

    const { text, families } = await scrape(ready.metrics);
    const value = (name: string, labels?: Record<string, string>) => seriesValue(families, name, labels);
    assert.equal(value('clara_runs', { state: 'completed' }), 1);
    assert.equal(value('clara_sites_connected'), 2);
    // First weights of one site, and two rounds of two sites.
    assert.equal(value('clara_updates_total', { outcome: 'accepted' }), 5);
    assert.equal(value('clara_aggregation_seconds_count'), 2);
    assert.equal(value('clara_event_append_seconds_count'), (await federation.journal(run)).length);
    for (const { site, bytesToSite, bytesFromSite } of view.sites) {
      assert.equal(value('clara_bytes_total', { site, direction: 'to-site' }), Number(bytesToSite));
      assert.equal(value('clara_bytes_total', { site, direction: 'from-site' }), Number(bytesFromSite));
    }
    const days = value('clara_certificate_days_left', { certificate: 'server' });
    assert.ok(days > 29 && days <= 30, String(days));
    assert.ok(value('clara_certificate_days_left', { certificate: 'root' }) > 3600);
    assert.ok(value('clara_site_certificate_days_left', { site: 'b' }) > 29);
    assert.ok(!text.includes(run), 'no run is named');
    const key = await readFile(path.join(federation.operator, 'key.pem'), 'utf8');
    assert.ok(!text.includes(key.split('\n')[1]!));

    const site = (await scrape(address)).families;
    assert.equal(seriesValue(site, 'clara_site_connected'), 1);
    assert.equal(seriesValue(site, 'clara_site_tasks_total', { outcome: 'done' }), 2);
    assert.equal(seriesValue(site, 'clara_site_proposals_total', { answer: 'approved' }), 1);
    assert.equal(seriesValue(site, 'clara_site_task_running'), 0);
    assert.ok(seriesValue(site, 'clara_site_workspace_free_bytes') > 0);
    assert.ok(seriesValue(site, 'clara_site_certificate_days_left') > 29);

    const end = await agent.stop();
    assert.equal(end.code, 0, end.stderr);
    await assert.rejects(fetch(`http://${address}/metrics`), 'the listener ends with the agent');
  });
});
