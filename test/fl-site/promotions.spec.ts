import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { type SiteAgent, startSiteAgent } from '../../fl-site/agent';
import { REAL_PACING } from '../../fl-site/backoff';
import type { SiteConfigurationInput } from '../../fl-site/configuration';
import { PromotionRequests } from '../../fl-site/promotions/promotion-requests';
import { Workspace } from '../../fl-site/workspace';
import { dialInsecure, FakeCoordinator, sha256Of } from './support/fake-coordinator';
import { MODEL } from './support/model-bytes';
import { scriptedTrainer } from './support/scripted-trainer';
import { makeSite, type TestSite } from './support/site';

const PUBLISHER = path.join(__dirname, 'support', 'scripted-publisher.cjs');
const OBJECT = 'models/some.safetensors';
/** Real waits, but short ones. */
const PACING = { ...REAL_PACING, random: () => 0.02 };
const AUTOMATIC = { policy: { promotions: 'automatic' }, annotation: { workspace: 'aiaa' } } as const;
const PERSON = { annotation: { workspace: 'aiaa' } } as const;

describe('models that are promoted to a site', () => {
  let coordinator: FakeCoordinator;
  let site: TestSite;
  let agent: SiteAgent | undefined;

  beforeEach(async () => {
    coordinator = await FakeCoordinator.start();
    coordinator.objects.set(OBJECT, MODEL);
    site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
    mkdirSync(path.join(site.folder, 'aiaa'));
  });
  afterEach(async () => {
    await agent?.close();
    agent = undefined;
    coordinator.kill();
    site.remove();
  });

  const start = async (more: Partial<SiteConfigurationInput> = AUTOMATIC, withPublisher = true) => {
    agent = await startSiteAgent(site.configuration(more), {
      dial: dialInsecure,
      pacing: PACING,
      ...(withPublisher && { publisher: { command: process.execPath, args: [PUBLISHER] } }),
    });
    await coordinator.until(() => coordinator.connected);
  };
  const announce = (promotion: number, more: object = {}) =>
    coordinator.push({
      case: 'modelAnnouncement',
      value: {
        promotion: BigInt(promotion),
        model: 'spleen',
        version: promotion,
        description: 'spleen on CT',
        reference: { name: 'spleen', object: OBJECT, size: BigInt(MODEL.length), sha256: sha256Of(MODEL) },
        ...more,
      },
    });
  const heard = (promotion: number, state: string) =>
    coordinator.heard((message) =>
      message.case === 'promotionStatus' &&
      message.value.promotion === BigInt(promotion) &&
      message.value.state === state
        ? message.value
        : undefined,
    );
  const published = (): { name: string; version: string; sha256: string; bytes: number }[] => {
    const log = path.join(site.folder, 'aiaa', 'published.jsonl');
    if (!existsSync(log)) return [];
    return readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  };
  const requests = () => new PromotionRequests(new Workspace(path.join(site.folder, 'workspace')));

  it('are downloaded, published by the program that it was given, and told', async () => {
    await start();
    announce(3);
    await heard(3, 'downloaded');
    assert.equal((await heard(3, 'serving')).serving, '3');
    const [one, ...others] = published();
    assert.equal(others.length, 0);
    const sha256 = `sha256:${sha256Of(MODEL).toString('hex')}`;
    assert.deepEqual([one!.name, one!.version, one!.sha256, one!.bytes], ['spleen', '3', sha256, MODEL.length]);
    const folder = path.join(site.folder, 'workspace', 'promotions', 'spleen', '3');
    assert.deepEqual(readdirSync(folder), [], 'the annotation server has its own copy');
    // The coordinator has lost what it was told, and asks again.
    const before = coordinator.messages.length;
    announce(3);
    await coordinator.until(() =>
      coordinator.messages.slice(before).some(({ case: kind }) => kind === 'promotionStatus'),
    );
    assert.equal(published().length, 1);
  });

  const refusals: [why: string, site: Partial<SiteConfigurationInput>, reason: RegExp][] = [
    ['has no annotation server', {}, /a has no annotation server \(annotation\)/],
    ['takes none', { ...PERSON, policy: { promotions: 'never' } }, /policy\.promotions is never/],
    ['serves another', { ...AUTOMATIC, annotation: { workspace: 'aiaa', model: 'liver' } }, /serves liver only/],
    ['takes no model so large', { ...AUTOMATIC, limits: { modelBytes: 10 } }, /allows 10 \(limits\.modelBytes\)/],
  ];
  for (const [why, configuration, reason] of refusals) {
    it(`are refused by a site that ${why}, with the reason`, async () => {
      await start(configuration);
      announce(1);
      assert.match((await heard(1, 'refused')).reason, reason);
      assert.deepEqual([coordinator.downloads.length, published().length], [0, 0]);
    });
  }

  it('wait for a person by default, also over a restart, and one answer serves for the version again', async () => {
    await start(PERSON);
    announce(1);
    await heard(1, 'waiting');
    const [request] = await requests().list();
    assert.deepEqual([request!.model, request!.version, request!.description], ['spleen', 1, 'spleen on CT']);
    await agent!.close();
    await requests().decide({ model: 'spleen', version: 1 }, true, '');
    await assert.rejects(requests().decide({ model: 'spleen', version: 1 }, false, 'no'), /was approved before/);
    await assert.rejects(requests().decide({ model: 'spleen', version: 9 }, true, ''), { code: 'not-found' });
    await start(PERSON);
    announce(1);
    await heard(1, 'serving');
    announce(8, { version: 1 });
    await heard(8, 'serving');
    // Other bytes under the same version are another question.
    const other = Buffer.concat([MODEL, Buffer.from('x')]);
    announce(9, { version: 1, reference: { object: OBJECT, size: BigInt(other.length), sha256: sha256Of(other) } });
    await heard(9, 'waiting');
  });

  it('are refused with the words of a person', async () => {
    await start(PERSON);
    announce(1);
    await heard(1, 'waiting');
    await requests().decide({ model: 'spleen', version: 1 }, false, 'not validated on our scanner');
    assert.equal((await heard(1, 'refused')).reason, 'not validated on our scanner');
    assert.equal(published().length, 0);
  });

  it('fail with the reason of the publisher, but a full disk is waited for', async () => {
    const script = path.join(site.folder, 'aiaa', 'publisher.json');
    writeFileSync(script, JSON.stringify([{ code: 'out-of-space', message: 'the disk is full' }]));
    await start();
    announce(1);
    await heard(1, 'serving');
    assert.equal(published().length, 2);
    writeFileSync(script, JSON.stringify([{ code: 'corrupt', message: 'is not a working model' }]));
    announce(2);
    assert.equal((await heard(2, 'failed')).reason, 'is not a working model');
    assert.equal(published().length, 3);
  });

  it('go on at the byte where a cut left them, and are refused when the bytes are others', async () => {
    // Some chunks of the fake coordinator.
    const large = Buffer.alloc(3500, 7);
    coordinator.objects.set(OBJECT, large);
    const reference = { object: OBJECT, size: BigInt(large.length), sha256: sha256Of(large) };
    let cuts = 0;
    coordinator.onDownload = async function* (chunks) {
      for await (const chunk of chunks) {
        yield chunk;
        if (++cuts === 2) throw new ClaraError('unavailable', 'cut');
      }
    };
    await start();
    announce(1, { reference });
    await heard(1, 'serving');
    assert.equal(coordinator.downloads.length, 2);
    assert.ok(coordinator.downloads.at(-1)!.offset > 0, 'nothing that arrived is sent again');
    coordinator.onDownload = (chunks) => chunks;
    announce(2, { reference: { ...reference, sha256: sha256Of(Buffer.from('another model')) } });
    assert.match((await heard(2, 'failed')).reason, /other contents/);
    assert.equal(published().length, 1);
  });

  it('make room for a later promotion of the same model while they wait', async () => {
    await start(PERSON);
    announce(1);
    await heard(1, 'waiting');
    announce(2);
    await heard(2, 'waiting');
    await requests().decide({ model: 'spleen', version: 1 }, true, '');
    await requests().decide({ model: 'spleen', version: 2 }, true, '');
    await heard(2, 'serving');
    assert.deepEqual(
      published().map(({ version }) => version),
      ['2'],
    );
  });
});
